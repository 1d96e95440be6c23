"""What user space does with the programs of bpf/: ports counted and watched, snapshots."""

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
        self._names = ProcessNames(Map(lib, fd("processes"), "processes"))
        self._exemptions = Exemptions(Map(lib, fd("ignored_peers"), "ignored_peers"))
        self.ports_at_most = self._programs.ports_at_most
        """How many ports can be counted."""
        self.cpus = self._programs.cpus
        self._watched: set[tuple[int, int]] = set()
        self._events = EventReader(lib, fd("events"), on_event)

    def close(self) -> None:
        """Detach and free everything."""
        self._events.close()
        self._programs.close()

    def events_fd(self) -> int:
        """Readable when events wait for `consume_events`."""
        return self._events.fd

    def consume_events(self) -> None:
        """Hand every waiting event to the handler given at construction."""
        self._events.consume()

    def add_port(self, inode: int, port: int) -> bool:
        """Count on a port, from zero, from now on. False when there is no room for it."""
        return self._ports.add(inode, port)

    def forget_port(self, inode: int, port: int) -> None:
        """Count no more on it."""
        self._ports.forget(inode, port)

    def counters(self, inode: int, port: int) -> Counters | None:
        """The counters of a port, None when it is not counted."""
        return self._ports.read(inode, port)

    def all_counters(self) -> dict[tuple[int, int], Counters]:
        """The counters of every port, by netns inode and local port: in few system calls, not of
        one moment. Blocks for two milliseconds with a thousand."""
        return {
            (record[0], record[1]): record[2:]
            for part in self._programs.iterate("sums")
            for record in PORT_RECORD.iter_unpack(part)
        }

    def watch(self, inode: int, port: int) -> bool:
        """Ask for one event at the port's next change, again after each event; meanwhile it is
        remembered when each new connection was opened. False when there is no room for it."""
        if not self._watches.set(PortKey(inode, port), Watch(0)):
            return False
        self._watched.add((inode, port))
        self._set_watching()
        return True

    def unwatch(self, inode: int, port: int) -> None:
        """No more events of the port."""
        self._watched.discard((inode, port))
        self._set_watching()
        self._watches.remove(PortKey(inode, port))

    def _set_watching(self) -> None:
        control = self._programs.control
        if control.watching != bool(self._watched):
            control.watching = bool(self._watched)
            self._programs.set_control()

    def announce(self, names: Iterable[str]) -> None:
        """From now on the listeners of processes of these names can be watched."""
        self._names.add(names, ProcessRole.SERVER)

    def watch_listeners(self) -> bool:
        """Ask for one event, LISTENERS, when next such a process begins to listen."""
        return self._watches.set(PortKey(*LISTENERS), Watch(0))

    def find_probes(self, hosts: Iterable[int], names: Iterable[str]) -> None:
        """Take connections from processes of these names, in these namespaces (inodes, two at the
        most), for probes: coming ones, and those that are there, as long as nothing comes or goes
        on them. Blocks while every open file of the node is looked at."""
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
        """Passive opens by these peers on these ports do not count as arrivals, others of the pod
        do; `pod` is a number of the caller's. Raises OSError when there are too many."""
        try:
            self._exemptions.ignore(pod, inode, ports, prefixes)
        finally:
            control = self._programs.control
            if control.ignoring != self._exemptions.ignoring:
                control.ignoring = self._exemptions.ignoring
                self._programs.set_control()

    def lost(self) -> dict[LostPlace, int]:
        """How often something could not be recorded, by place."""
        counts = {}
        for place in LostPlace:
            value = ctypes.c_uint64()
            self._lost.get(ctypes.c_uint32(place), value)
            counts[place] = value.value
        return counts

    def missed(self) -> int:
        """How many events the kernel dropped because they interrupted the program on its CPU;
        as far as it counts them (recursion_misses of the program's info)."""
        return missed_runs(self._programs.on_state)

    def read_snapshot(self, every_port: bool = False) -> list[bytes]:
        """`SocketRecord`s of the netns that the calling thread is in: listeners first, then every
        socket on a port that is counted, or on any; in the parts in which the kernel gave them, of
        whole records each.

        Blocks for the length of the pass: some milliseconds, and more with many sockets.
        """
        return self._programs.iterate("every_socket" if every_port else "snapshot")
