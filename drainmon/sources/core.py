"""Source `core`: the CO-RE programs of bpf/, for kernels with BTF."""

import asyncio
import errno
import logging
import time

from drainmon.kernel import netns
from drainmon.kernel.conntrack import Conntrack
from drainmon.kernel.wire import SOCKET_RECORD, CountedAs, EventKind, LostPlace, RecordFlag
from drainmon.model.ignored import Ignored
from drainmon.model.ledger import Counts, total
from drainmon.model.snapshot import Listener, Snapshot, Socket
from drainmon.model.tcp import TcpState
from drainmon.pods.discovery import live_namespaces, open_namespaces
from drainmon.pods.pod import Pod
from drainmon.procfs import net_tcp, process
from drainmon.sources.base import Listeners, Place

log = logging.getLogger(__name__)

_STATES = {int(state): state for state in TcpState}


class CoreSource:
    """Must be made inside a running event loop. Raises OSError when the host cannot run it."""

    name = "core"
    look_interval = 1.0
    longest_pause = 1.0
    announces = True

    def __init__(
        self,
        listeners: Listeners,
        probe_processes: tuple[str, ...],
        host: frozenset[int],
    ) -> None:
        self._listeners = listeners
        self._probe_processes = probe_processes
        self._host = host
        self._conntrack = Conntrack(self._on_event)
        self._since = time.monotonic()
        self._watching: dict[tuple[int, int], set[int]] = {}
        """The numbers of the pods that watch a port: two of the host's namespace may share one."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._conntrack.events_fd(), self._conntrack.consume_events)

    def close(self) -> None:
        self._loop.remove_reader(self._conntrack.events_fd())
        self._conntrack.close()

    def _on_event(self, kind: int, netns: int, port: int) -> None:
        if kind == EventKind.LISTENER:
            self._listeners.listening(netns, port)
        elif kind == EventKind.CHANGE:
            for pod in list(self._watching.get((netns, port), ())):
                self._listeners.changed(pod)

    async def start(self) -> None:
        def body() -> None:
            if self._probe_processes and self._host:
                self._conntrack.find_probes(self._host, self._probe_processes)
            for fd in open_namespaces():
                netns.call_in(fd, self._conntrack.read_snapshot)
            self._conntrack.set_seeded()

        await asyncio.to_thread(body)

    def open(self, pid: int) -> Place:
        return Place((process.open_netns(pid),))

    def missed(self) -> dict[str, int]:
        lost = {place.name.lower(): count for place, count in self._conntrack.lost().items()}
        return lost | {"recursion": self._conntrack.missed()}

    async def prune(self, pods: list[Pod]) -> None:
        kept = {(pod.netns, port) for pod in pods for port in pod.ports}

        def body() -> None:
            # Ports first: a namespace made in between is not taken for a dead one.
            ports = set(self._conntrack.ports()) - kept
            living = live_namespaces()
            listening: dict[int, set[int]] = {}
            for inode, port in ports:
                if inode not in living:
                    self._conntrack.forget_port(inode, port)
                    continue
                if inode not in listening:
                    listening[inode] = _listening(living[inode])
                if port not in listening[inode] and not self._connections(inode, port):
                    self._conntrack.forget_port(inode, port)

        await asyncio.to_thread(body)

    def ports(self, netns: int) -> frozenset[int]:
        return frozenset(port for inode, port in self._conntrack.ports() if inode == netns)

    async def counters(self, pod: Pod) -> Counts:
        return total(self._counts(pod.netns, port) for port in pod.ports)

    def _counts(self, inode: int, port: int) -> Counts:
        counters = self._conntrack.counters(inode, port)
        if counters is None:
            return Counts(last_accept=self._since)
        by_state = {
            state: counters.by_state[number]
            for number, state in _STATES.items()
            if counters.by_state[number]
        }
        last = counters.last_accept_ns / 1e9 or self._since
        probes = max(0, counters.by_state[CountedAs.PROBE])
        return Counts(by_state, counters.accepted, last, probes, counters.probes)

    def _connections(self, inode: int, port: int) -> bool:
        counts = self._counts(inode, port)
        return bool(counts.by_state or counts.probes)

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        self._must_count(pod)

        def body() -> Snapshot:
            taken = time.monotonic()
            parts = self._conntrack.read_snapshot()
            found = Records()
            for part in parts:
                found.add(part, pod.ports)
            return Snapshot(
                taken,
                time.monotonic(),
                tuple(found.sockets),
                tuple(found.listeners),
                in_parts=len(parts) > 1,
                time_wait=found.time_wait,
            )

        (fd,) = place.files
        return await asyncio.wrap_future(netns.spawn_in(fd, body))

    def _must_count(self, pod: Pod) -> None:
        """Without its counters nobody knows what arrives on a port."""
        if not self._conntrack.lost()[LostPlace.PORT]:
            return
        for port in pod.ports:
            if self._conntrack.counters(pod.netns, port) is None:
                raise OSError(errno.ENOSPC, f"cannot count port {port}: the map of ports is full")

    def watch(self, pod: Pod) -> None:
        for port in pod.ports:
            self._watching.setdefault((pod.netns, port), set()).add(pod.number)
            self._conntrack.watch(pod.netns, port)

    def ignore(self, pod: Pod, ignored: Ignored) -> None:
        try:
            self._conntrack.ignore(pod.number, pod.netns, pod.ports, ignored.prefixes())
        except OSError as error:
            log.warning("some peers count as arrivals: %s", error, extra={"pod": pod.label})

    def unwatch(self, pod: Pod) -> None:
        for port in pod.ports:
            watching = self._watching.get((pod.netns, port), set())
            watching.discard(pod.number)
            if not watching:
                self._watching.pop((pod.netns, port), None)
                self._conntrack.unwatch(pod.netns, port)


def _listening(pid: int) -> set[int]:
    """The ports that listen in the namespace of a process; none when it is gone."""
    try:
        return set(net_tcp.listeners(pid).values())
    except OSError:
        return set()


class Records:
    """What is on a pod's ports among the `SocketRecord`s of a snapshot."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self.listeners: list[Listener] = []
        self.time_wait = 0

    def add(self, records: bytes, ports: frozenset[int]) -> None:
        """Take in whole records. Raises struct.error for a torn one."""
        for (
            local,
            remote,
            received,
            opened_ns,
            unsent,
            unaccepted,
            idle_in,
            idle_out,
            local_port,
            remote_port,
            state,
            flags,
            _,
        ) in SOCKET_RECORD.iter_unpack(records):
            if local_port not in ports:
                continue
            if state == TcpState.TIME_WAIT:
                self.time_wait += 1
            elif state == TcpState.LISTEN:
                self.listeners.append(Listener(local, local_port, unaccepted, unsent))
            else:
                self.sockets.append(
                    Socket(
                        local,
                        local_port,
                        remote,
                        remote_port,
                        _STATES[state],
                        received,
                        unsent,
                        idle_in / 1e3,
                        idle_out / 1e3,
                        opened_ns / 1e9 if opened_ns else None,
                        bool(flags & (RecordFlag.TIMEWAIT | RecordFlag.REQUEST)),
                        bool(flags & RecordFlag.PROBE),
                    )
                )
