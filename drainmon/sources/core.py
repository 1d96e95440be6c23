"""Source `core`: the CO-RE programs of bpf/, for kernels with BTF."""

import asyncio
import contextlib
import logging
import time
from itertools import compress
from operator import add

from drainmon.kernel import netns
from drainmon.kernel.conntrack import Conntrack
from drainmon.kernel.sock_diag import SockDiag
from drainmon.kernel.wire import (
    PORT_COUNTERS,
    SOCKET_RECORD,
    CountedAs,
    EventKind,
    RecordFlag,
)
from drainmon.model.ignored import Ignored
from drainmon.model.ledger import Counts
from drainmon.model.snapshot import Listener, Snapshot
from drainmon.model.standing import Socket
from drainmon.model.tcp import TcpState
from drainmon.pods.discovery import live_namespaces, open_namespaces
from drainmon.pods.listeners import listeners_of
from drainmon.pods.pod import Pod
from drainmon.procfs import process
from drainmon.sources.base import Listeners, Place
from drainmon.sources.diag_reading import judge_by_mptcp
from drainmon.sources.events import Events
from drainmon.turns import in_turns

log = logging.getLogger(__name__)

_STATES = {int(state): state for state in TcpState}
_SLOTS = [_STATES.get(slot, TcpState.CLOSE) for slot in range(max(_STATES) + 1)]
"""The state of each slot of the counters that is a state's; the first is unused."""


class CoreSource:
    """`start` raises OSError when the host cannot run it."""

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
        self._held = contextlib.ExitStack()
        self._watching: dict[tuple[int, int], set[int]] = {}
        """The numbers of the pods that watch a port: two of the host's namespace may share one."""

    def close(self) -> None:
        self._held.close()

    def _on_event(self, kind: int, netns: int, port: int) -> None:
        if kind == EventKind.LISTENER:
            self._listeners.listening(netns, port)
        elif kind == EventKind.CHANGE:
            for pod in list(self._watching.get((netns, port), ())):
                self._listeners.changed(pod)

    async def start(self) -> None:
        # Others are served while the kernel verifies the programs.
        self._conntrack = await asyncio.to_thread(Conntrack, self._on_event)
        self._held.callback(self._conntrack.close)
        self._since = time.monotonic()
        self._events = Events([self._conntrack.events_fd()], self._conntrack.consume_events)
        self._held.callback(self._events.close)

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
        self._events.check()
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
        self._events.check()
        return self._sum([self._values(pod.netns, port) for port in pod.ports])

    def _values(self, inode: int, port: int) -> tuple[int, ...] | None:
        counters = self._conntrack.counters(inode, port)
        return PORT_COUNTERS.unpack(counters) if counters else None

    async def all_counters(self, pods: list[Pod]) -> dict[int, Counts]:
        self._events.check()
        by_port = self._conntrack.all_counters()
        counted = {}
        async for some in in_turns(pods):
            for pod in some:
                netns = pod.netns
                counted[pod.number] = self._sum([by_port.get((netns, port)) for port in pod.ports])
        return counted

    def _sum(self, ports: list[tuple[int, ...] | None]) -> Counts:
        """The sum of some ports' counters, as PORT_COUNTERS has them; None for those that never
        listened."""
        last_ns = 0
        summed: tuple[int, ...] = ()
        for values in ports:
            if values:
                last_ns = max(last_ns, values[2])
                summed = tuple(map(add, summed, values)) if summed else values
        last = max(last_ns / 1e9, self._since) if ports else None
        if not summed:
            return Counts(last_accept=last, cut=0)
        _, accepted, _, probes_accepted, arrivals, cut, *by_slot = summed
        by_state = dict(compress(zip(_SLOTS, by_slot, strict=False), by_slot))
        probes = max(0, by_slot[CountedAs.PROBE])
        return Counts(by_state, accepted, last, probes, probes_accepted, arrivals, cut)

    def _connections(self, inode: int, port: int) -> bool:
        counts = self._sum([self._values(inode, port)])
        return bool(counts.by_state or counts.probes)

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        self._count_on(pod)

        def body() -> Snapshot:
            taken = time.monotonic()
            parts = self._conntrack.read_snapshot()
            found = Records()
            for part in parts:
                found.add(part, pod.ports)
            if found.mptcp:
                _judge_by_mptcp(found.sockets, pod.ports)
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

    def _count_on(self, pod: Pod) -> None:
        """Give counters to ports whose listener nobody has seen: without, snapshots pass over their
        connections, and nobody knows what arrives. Raises OSError when there is no room."""
        for port in pod.ports:
            if self._conntrack.counters(pod.netns, port) is None:
                self._conntrack.add_port(pod.netns, port)

    def watch(self, pod: Pod) -> None:
        for port in pod.ports:
            self._watching.setdefault((pod.netns, port), set()).add(pod.number)
            self._conntrack.watch(pod.netns, port)

    def ignore(self, pod: Pod, ignored: Ignored) -> None:
        try:
            self._conntrack.ignore(pod.number, pod.netns, pod.ports, ignored.prefixes())
        except OSError as error:
            log.warning("cannot ignore all peers", extra={"pod": pod.label, "error": str(error)})

    def unwatch(self, pod: Pod) -> None:
        for key in [key for key, pods in self._watching.items() if pod.number in pods]:
            self._watching[key].discard(pod.number)
            if not self._watching[key]:
                del self._watching[key]
                self._conntrack.unwatch(*key)


def _judge_by_mptcp(sockets: list[Socket], ports: frozenset[int]) -> None:
    """In the netns of the calling thread, where the kernel lists MPTCP connections."""
    with contextlib.suppress(OSError), contextlib.closing(SockDiag()) as diag:
        judge_by_mptcp(sockets, diag, ports)


def _listening(pid: int) -> set[int]:
    """The ports that listen in the namespace of a process; none when it is gone."""
    try:
        return set(listeners_of(pid).values())
    except OSError:
        return set()


class Records:
    """What is on a pod's ports among the `SocketRecord`s of a snapshot."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self.listeners: list[Listener] = []
        self.time_wait = 0
        self.mptcp = False
        """Whether there are subflows of MPTCP connections."""

    def add(self, records: bytes, ports: frozenset[int]) -> None:
        """Take in whole records. Raises struct.error for a torn one."""
        for (
            local,
            remote,
            received,
            sent,
            opened_ns,
            unsent,
            unread,
            idle_in,
            idle_out,
            idle_ack,
            rto,
            local_port,
            remote_port,
            state,
            flags,
            retransmits,
            probes_out,
        ) in SOCKET_RECORD.iter_unpack(records):
            if local_port not in ports:
                continue
            if state == TcpState.TIME_WAIT:
                self.time_wait += 1
            elif state == TcpState.LISTEN:
                self.listeners.append(Listener(local, local_port, unread, unsent))
            else:
                known = not flags & RecordFlag.BYPASSED
                self.mptcp |= bool(flags & RecordFlag.MPTCP)
                self.sockets.append(
                    Socket(
                        local,
                        local_port,
                        remote,
                        remote_port,
                        _STATES[state],
                        received if known else None,
                        unsent,
                        idle_in / 1e3,
                        idle_out / 1e3,
                        opened_ns / 1e9 if opened_ns else None,
                        bool(flags & (RecordFlag.TIMEWAIT | RecordFlag.REQUEST)),
                        bool(flags & RecordFlag.PROBE),
                        sent if known else None,
                        unread,
                        idle_ack / 1e3,
                        bool(flags & RecordFlag.ORPHAN),
                        retransmits,
                        probes_out,
                        rto / 1e3,
                    )
                )
