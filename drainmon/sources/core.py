"""Source `core`: the CO-RE programs of bpf/, for kernels with BTF."""

import asyncio
import time

from drainmon.kernel import netns
from drainmon.kernel.conntrack import Conntrack
from drainmon.kernel.wire import SOCKET_RECORD, EventKind, RecordFlag
from drainmon.model.ledger import Counts, total
from drainmon.model.snapshot import Listener, Snapshot, Socket
from drainmon.model.tcp import TcpState
from drainmon.pods.discovery import live_namespaces, open_namespaces
from drainmon.pods.pod import Pod
from drainmon.procfs import process
from drainmon.sources.base import Listeners, Place

_STATES = {int(state): state for state in TcpState}


class CoreSource:
    """Must be made inside a running event loop. Raises OSError when the host cannot run it."""

    name = "core"
    look_interval = 1.0

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._conntrack = Conntrack(self._on_event)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._conntrack.events_fd(), self._conntrack.consume_events)

    def close(self) -> None:
        self._loop.remove_reader(self._conntrack.events_fd())
        self._conntrack.close()

    def _on_event(self, kind: int, netns: int, port: int) -> None:
        if kind == EventKind.LISTENER:
            self._listeners.listening(netns, port)
        elif kind == EventKind.CHANGE:
            self._listeners.changed(netns)

    async def start(self) -> None:
        def body() -> None:
            for fd in open_namespaces():
                netns.call_in(fd, self._conntrack.read_snapshot)
            self._conntrack.set_seeded()

        await asyncio.to_thread(body)

    def open(self, pid: int) -> Place:
        return Place((process.open_netns(pid),))

    def missed(self) -> dict[str, int]:
        lost = {place.name.lower(): count for place, count in self._conntrack.lost().items()}
        return lost | {"recursion": self._conntrack.missed()}

    async def prune(self) -> None:
        def body() -> None:
            # Ports first: a namespace made in between is not taken for a dead one.
            ports = list(self._conntrack.ports())
            living = live_namespaces()
            for inode, port in ports:
                if inode not in living:
                    self._conntrack.forget_port(inode, port)

        await asyncio.to_thread(body)

    async def counters(self, pod: Pod) -> Counts:
        return total(self._port_counts(pod.netns, port) for port in pod.ports)

    def _port_counts(self, inode: int, port: int) -> Counts:
        counters = self._conntrack.counters(inode, port)
        if counters is None:
            return Counts()
        by_state = {
            state: counters.by_state[number]
            for number, state in _STATES.items()
            if counters.by_state[number]
        }
        last = counters.last_accept_ns / 1e9 if counters.last_accept_ns else None
        return Counts(by_state, counters.accepted, last)

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        def body() -> Snapshot:
            taken = time.monotonic()
            sockets, listeners = parse_records(self._conntrack.read_snapshot(), pod.ports)
            return Snapshot(taken, time.monotonic(), tuple(sockets), tuple(listeners))

        (fd,) = place.files
        return await asyncio.wrap_future(netns.spawn_in(fd, body))

    def watch(self, pod: Pod) -> None:
        for port in pod.ports:
            self._conntrack.watch(pod.netns, port)

    def unwatch(self, pod: Pod) -> None:
        for port in pod.ports:
            self._conntrack.unwatch(pod.netns, port)


def parse_records(records: bytes, ports: frozenset[int]) -> tuple[list[Socket], list[Listener]]:
    """The connections and listeners on `ports` among the `SocketRecord`s of a snapshot.

    Raises struct.error for a torn record.
    """
    sockets: list[Socket] = []
    listeners: list[Listener] = []
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
        if state == TcpState.LISTEN:
            listeners.append(Listener(local, local_port, unaccepted, unsent))
            continue
        sockets.append(
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
            )
        )
    return sockets, listeners
