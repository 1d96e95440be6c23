"""User space's side of the programs of bpf/: counts and watches ports, takes snapshots."""

import ctypes
from collections.abc import Iterable
from pathlib import Path

from drainmon.kernel.counted_ports import CountedPorts, Counters
from drainmon.kernel.events import EventHandler, EventReader
from drainmon.kernel.exemptions import Exemptions, Prefix
from drainmon.kernel.fdinfo import missed_runs
from drainmon.kernel.maps import Map
from drainmon.kernel.process_names import ProcessNames
from drainmon.kernel.programs import OBJECT, Programs
from drainmon.kernel.wire import (
    LISTENERS,
    PORT_RECORD,
    CountedChanges,
    LostPlace,
    PortKey,
    ProcessRole,
    Watch,
)


class Conntrack:
    """The loaded programs; `on_event` is called in `consume_events`. Raises OSError "cannot X: why"
    when the host cannot run them."""

    def __init__(self, on_event: EventHandler, path: Path = OBJECT) -> None:
        self._programs = Programs(path)
        try:
            self._maps(on_event)
        except BaseException:
            self._programs.close()
            raise

    def _maps(self, on_event: EventHandler) -> None:
        lib, fd = self._programs.lib, self._programs.map
        self._ports = CountedPorts(
            Map(lib, fd("ports"), "ports"),
            Map(lib, fd("port_numbers"), "port_numbers"),
            self._programs.cpus,
        )
        self._watches = Map(lib, fd("watches"), "watches")
        self._lost = Map(lib, fd("lost"), "lost")
        self._counted_changes = Map(lib, fd("counted_changes"), "counted_changes")
        self._names = ProcessNames(Map(lib, fd("processes"), "processes"))
        self._exemptions = Exemptions(Map(lib, fd("ignored_peers"), "ignored_peers"))
        self.ports_at_most = self._programs.ports_at_most
        """The number of ports that can be counted."""
        self.cpus = self._programs.cpus
        self.whole_passes = self._programs.behaviour.whole_passes
        """Whether a snapshot in several parts has each socket once."""
        self._watched: set[tuple[int, int]] = set()
        self._events = EventReader(lib, fd("events"), on_event)

    def close(self) -> None:
        """Detach and free everything."""
        self._events.close()
        self._programs.close()

    def events_fd(self) -> int:
        """A descriptor, readable when events wait for `consume_events`."""
        return self._events.fd

    def consume_events(self) -> None:
        """Pass every waiting event to the handler given at construction."""
        self._events.consume()

    def add_port(self, inode: int, port: int) -> bool:
        """Count on a port, from zero. Returns False when there is no room for it."""
        return self._ports.add(inode, port)

    def forget_port(self, inode: int, port: int) -> None:
        """Stop counting on a port."""
        self._ports.forget(inode, port)

    def counters(self, inode: int, port: int) -> Counters | None:
        """The counters of a port, None when it is not counted."""
        return self._ports.read(inode, port)

    def all_counters(self) -> dict[tuple[int, int], Counters]:
        """The counters of every port, by netns inode and local port, read in few system calls but
        not at one moment. Blocks for two milliseconds with a thousand ports."""
        return {
            (record[0], record[1]): record[2:]
            for part in self._programs.iterate("sums")
            for record in PORT_RECORD.iter_unpack(part)
        }

    def watch(self, inode: int, port: int) -> bool:
        """Request one event at the port's next change; call `watch` again after that. Meanwhile the
        kernel records when new connections open. Returns False when there is no room for it."""
        if not self._watches.set(PortKey(inode, port), Watch(0)):
            return False
        self._watched.add((inode, port))
        self._set_watching()
        return True

    def unwatch(self, inode: int, port: int) -> None:
        """Stop the events of a port."""
        self._watched.discard((inode, port))
        self._set_watching()
        self._watches.remove(PortKey(inode, port))

    def _set_watching(self) -> None:
        control = self._programs.control
        if control.watching != bool(self._watched):
            control.watching = bool(self._watched)
            self._programs.set_control()

    def announce(self, names: Iterable[str]) -> None:
        """Announce the listeners of processes with these names, see `watch_listeners`."""
        self._names.add(names, ProcessRole.SERVER)

    def watch_listeners(self) -> bool:
        """Request one event, LISTENERS, when an announced process next begins to listen."""
        return self._watches.set(PortKey(*LISTENERS), Watch(0))

    def find_probes(self, hosts: Iterable[int], names: Iterable[str]) -> None:
        """Count connections from processes with these names, in these namespaces (two inodes at
        most), as probes: new ones, and existing ones until their next byte. Blocks while every open
        file of the node is listed."""
        self._names.add(names, ProcessRole.PROBER)
        control = self._programs.control
        inodes = [*hosts, 0, 0][:2]
        control.host_netns = type(control.host_netns)(*inodes)
        control.probing = 1
        self._programs.set_control()
        self._programs.iterate("find_probing")

    def ignore(
        self, pod: int, inode: int, ports: Iterable[int], prefixes: Iterable[Prefix]
    ) -> None:
        """Stop counting passive opens by these peers on these ports as arrivals, and count all
        others of the pod; `pod` is any number. Raises OSError when there are too many peers."""
        try:
            self._exemptions.ignore(pod, inode, ports, prefixes)
        finally:
            control = self._programs.control
            if control.ignoring != self._exemptions.ignoring:
                control.ignoring = self._exemptions.ignoring
                self._programs.set_control()

    def lost(self) -> dict[LostPlace, int]:
        """The number of records lost, by place."""
        counts = {}
        for place in LostPlace:
            value = ctypes.c_uint64()
            self._lost.get(ctypes.c_uint32(place), value)
            counts[place] = value.value
        return counts

    def missed(self) -> int:
        """The number of events that no program counted: those that the kernel dropped because they
        interrupted the first program on its CPU (recursion_misses of the program's info, in kernels
        that have it), without those that the second one counted."""
        dropped = missed_runs(self._programs.on_state)
        if not self._programs.behaviour.preemptible:
            return dropped
        by_cpu = (CountedChanges * self.cpus)()
        self._counted_changes.get(ctypes.c_uint32(0), by_cpu)
        recovered = sum(int(changes.recovered) for changes in by_cpu)
        return max(0, dropped - recovered)

    def read_snapshot(self, every_port: bool = False) -> list[bytes]:
        """`SocketRecord`s of the calling thread's netns: listeners first, then every socket on a
        counted port, or on any port. The kernel returns them in parts of whole records.

        Blocks for the length of the pass: some milliseconds, more with many sockets.
        """
        return self._programs.iterate("every_socket" if every_port else "snapshot")
