"""A pod's connections from look to look: what the rows of /proc/net/tcp do not say by themselves.

They tell neither when a connection was opened nor for how long nothing came on it; whoever looks
often knows both. Pure; times are monotonic seconds.
"""

from collections.abc import Iterable
from typing import NamedTuple

from drainmon.model.snapshot import Listener, Socket
from drainmon.model.tcp import TcpState
from drainmon.procfs.net_tcp import parse_columns, parse_ends

WATCHED_WITHIN = 3.0
"""Seconds between two looks above which it is not known what has come and gone meanwhile."""

_STATES = {int(state): state for state in TcpState}


class _Sighting(NamedTuple):
    """A connection as last seen. `since`: the look since which it is the same connection."""

    columns: bytes
    since: float
    silent: bool
    socket: Socket


class Look:
    """One pass over the tables, in pieces of rows."""

    def __init__(self, known: dict[bytes, _Sighting], watched: bool) -> None:
        self._known = known
        self._watched = watched
        self.seen: dict[bytes, _Sighting] = {}
        self.listeners: list[Listener] = []
        self.time_wait = 0
        self._fast_open: set[int] = set()

    def add(self, rows: Iterable[tuple[bytes, bytes]], now: float) -> None:
        """Rows of `find_rows` that were read at `now`."""
        known, seen = self._known, self.seen
        for ends, columns in rows:
            before = known.get(ends)
            # The same text is the same connection: it has the socket's inode and address.
            if before and before.columns == columns:
                seen[ends] = before._replace(socket=_aged(before, now)) if before.silent else before
            elif sighting := self._parse(ends, columns, before, now):
                seen[ends] = sighting

    def sockets(self) -> tuple[Socket, ...]:
        """What was seen, listeners apart."""
        return tuple(sighting.socket for sighting in self.seen.values())

    def _parse(
        self, ends: bytes, columns: bytes, before: _Sighting | None, now: float
    ) -> _Sighting | None:
        addresses, row = parse_ends(ends), parse_columns(columns)
        if addresses is None or row is None or row.state not in _STATES:
            return None
        local, local_port, remote, remote_port = addresses
        state = _STATES[row.state]
        if state is TcpState.LISTEN:
            self.listeners.append(Listener(local, local_port, row.rx_queue, None))
            if row.fast_open:
                self._fast_open.add(local_port)
            return None
        if state is TcpState.TIME_WAIT:
            self.time_wait += 1
            return None
        if not self._watched or (before and _is_another(before.socket, state)):
            before = None
        since = before.since if before else now
        opened = before.socket.opened if before else now if self._watched else None
        # Once used is used for ever; what came in a Fast Open handshake leaves no trace.
        used = not row.silent or local_port in self._fast_open or (before and not before.silent)
        idle = 0.0 if used else now - since
        socket = Socket(
            local, local_port, remote, remote_port, state, int(bool(used)), row.tx_queue,
            idle, idle, opened, row.minisocket,
        )  # fmt: skip
        return _Sighting(columns, since, not used, socket)


class Sightings:
    """What is known of one pod's connections between two looks."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Sighting] = {}
        self._last: float | None = None

    def begin(self, now: float) -> Look:
        """A look that begins at `now`."""
        watched = self._last is not None and now - self._last <= WATCHED_WITHIN
        return Look(self._known, watched)

    def end(self, look: Look, now: float) -> None:
        """The look is whole, it ended at `now`."""
        self._known, self._last = look.seen, now


def _is_another(before: Socket, state: TcpState) -> bool:
    """Whether the same addresses are another connection: nothing becomes established twice."""
    return state is TcpState.ESTABLISHED and before.state is not TcpState.ESTABLISHED


def _aged(sighting: _Sighting, now: float) -> Socket:
    idle = now - sighting.since
    return sighting.socket._replace(idle_in=idle, idle_out=idle)
