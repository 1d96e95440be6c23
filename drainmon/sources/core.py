"""Source `core`: the CO-RE programs of bpf/, for kernels with BTF."""

import asyncio
import time
from collections.abc import Callable, Iterable

from drainmon.kernel import netns
from drainmon.kernel.conntrack import Conntrack
from drainmon.kernel.wire import SOCKET_RECORD, EventKind, RecordFlag
from drainmon.model.ledger import Counts, total
from drainmon.model.snapshot import Listener, Snapshot, Socket
from drainmon.model.tcp import TcpState
from drainmon.sources.base import Listeners

_STATES = {int(state): state for state in TcpState}


class CoreSource:
    """Must be made inside a running event loop. Raises OSError when the host cannot run it."""

    name = "core"

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

    async def seed(self, netns_fds: Callable[[], Iterable[int]]) -> None:
        def body() -> None:
            for fd in netns_fds():
                netns.call_in(fd, self._conntrack.read_snapshot)
            self._conntrack.set_seeded()

        await asyncio.to_thread(body)

    def missed(self) -> dict[str, int]:
        lost = {place.name.lower(): count for place, count in self._conntrack.lost().items()}
        return lost | {"recursion": self._conntrack.missed()}

    async def prune(self, alive: Callable[[], set[int]]) -> None:
        def body() -> None:
            # Ports first: a namespace made in between is not taken for a dead one.
            ports = list(self._conntrack.ports())
            living = alive()
            for inode, port in ports:
                if inode not in living:
                    self._conntrack.forget_port(inode, port)

        await asyncio.to_thread(body)

    def counters(self, netns: int, ports: Iterable[int]) -> Counts:
        return total(self._port_counts(netns, port) for port in ports)

    def _port_counts(self, netns: int, port: int) -> Counts:
        counters = self._conntrack.counters(netns, port)
        if counters is None:
            return Counts()
        by_state = {
            state: counters.by_state[number]
            for number, state in _STATES.items()
            if counters.by_state[number]
        }
        last = counters.last_accept_ns / 1e9 if counters.last_accept_ns else None
        return Counts(by_state, counters.accepted, last)

    async def snapshot(self, netns_fd: int, ports: frozenset[int]) -> Snapshot:
        def body() -> Snapshot:
            taken = time.monotonic()
            sockets, listeners = parse_records(self._conntrack.read_snapshot(), ports)
            return Snapshot(taken, time.monotonic(), tuple(sockets), tuple(listeners))

        return await asyncio.wrap_future(netns.spawn_in(netns_fd, body))

    def watch(self, netns: int, ports: Iterable[int]) -> None:
        for port in ports:
            self._conntrack.watch(netns, port)

    def unwatch(self, netns: int, ports: Iterable[int]) -> None:
        for port in ports:
            self._conntrack.unwatch(netns, port)


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
