"""A pod's connections from look to look: what the rows of /proc/net/tcp do not say by themselves.

They tell neither when a connection was opened nor for how long nothing came on it; whoever looks
often knows both. Pure; times are monotonic seconds.
"""

from collections.abc import Iterable
from functools import cached_property

from drainmon.model.snapshot import Listener, Socket
from drainmon.model.tcp import TcpState
from drainmon.procfs.net_tcp import Row, is_time_wait, parse_row

WATCHED_WITHIN = 3.0
"""Seconds between two looks above which it is not known what has come and gone meanwhile."""

_STATES = {int(state): state for state in TcpState}


class Sightings:
    """What is known of one pod's connections between two looks, by their rows' text. The same text
    is the same connection: it has the socket's inode and address."""

    def __init__(self) -> None:
        self.sockets: dict[bytes, Socket] = {}
        self.silent: dict[bytes, float] = {}
        """Since when those are known on which nothing ever came."""
        self.finished = float("-inf")


class Look:
    """One pass over the tables, in pieces, by which what is known becomes new."""

    def __init__(self, before: Sightings, now: float) -> None:
        self._before = before
        self._watched = now - before.finished <= WATCHED_WITHIN
        self._changed: list[tuple[bytes, float]] = []
        self._fast_open: set[int] = set()
        self.listeners: list[Listener] = []
        self.time_wait = 0
        self.after = Sightings()

    def add(self, rows: Iterable[bytes], now: float) -> None:
        """Rows of `find_rows` that were read at `now`."""
        known, sockets = self._before.sockets, self.after.sockets
        for row in rows:
            if (socket := known.get(row)) is not None:
                sockets[row] = socket
            elif is_time_wait(row):
                self.time_wait += 1
            else:
                self._changed.append((row, now))

    def finish(self, now: float) -> None:
        """The pass is whole: `after` and `listeners` are what it showed."""
        self.after.finished = now
        self._let_silence_grow(now)
        for text, read in self._changed:
            row = parse_row(text)
            if row is None or row.state not in _STATES:
                continue
            if row.state == TcpState.LISTEN:
                self.listeners.append(Listener(row.local, row.local_port, row.rx_queue, None))
                if row.fast_open:
                    self._fast_open.add(row.local_port)
                continue
            before = self._gone.get(row[:4])
            if before and _is_another(self._before.sockets[before], row):
                before = None
            self._enter(text, row, before, read)

    def _let_silence_grow(self, now: float) -> None:
        sockets = self.after.sockets
        for row, since in self._before.silent.items():
            if row in sockets:
                self.after.silent[row] = since
                idle = now - since
                sockets[row] = sockets[row]._replace(idle_in=idle, idle_out=idle)

    @cached_property
    def _gone(self) -> dict[tuple[bytes, int, bytes, int], bytes]:
        """Rows of the last look that are no more, by their ends: they may have changed only."""
        if not self._watched:
            return {}
        sockets = self.after.sockets
        return {
            socket[:4]: row for row, socket in self._before.sockets.items() if row not in sockets
        }

    def _enter(self, text: bytes, row: Row, before: bytes | None, now: float) -> None:
        opened = now if self._watched else None
        # What came in a Fast Open handshake leaves no trace.
        silent, since = row.silent and row.local_port not in self._fast_open, now
        if before is not None:
            opened = self._before.sockets[before].opened
            since = self._before.silent.get(before, now)
            silent = silent and before in self._before.silent  # once used is used for ever
        if silent:
            self.after.silent[text] = since
        idle = now - since if silent else 0.0
        self.after.sockets[text] = Socket(
            *row[:4], _STATES[row.state], int(not silent), row.tx_queue,
            idle, idle, opened, row.minisocket,
        )  # fmt: skip


def _is_another(before: Socket, row: Row) -> bool:
    """Whether the same ends are another connection: nothing becomes established twice."""
    return row.state == TcpState.ESTABLISHED != before.state
