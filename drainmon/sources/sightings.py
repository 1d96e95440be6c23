"""A pod's connections from look to look: what the rows of /proc/net/tcp do not say by themselves.

They tell neither when a connection was opened nor for how long nothing came on it; whoever looks
often knows both. Rows stay text as long as nobody asks for the connection: there may be 100,000.
Pure; times are monotonic seconds.
"""

from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import filterfalse
from operator import itemgetter
from typing import TypeVar

from drainmon.model.snapshot import NEVER_USED_AFTER, Listener, Socket, Tally, known_time
from drainmon.model.tcp import IN_FLIGHT, TcpState
from drainmon.procfs.net_tcp import SURE_RTO, Row, columns_of, parse_local, parse_row

WATCHED_WITHIN = 3.0
"""Seconds between two looks above which it is not known what has come and gone meanwhile."""

T = TypeVar("T")

_STATES = {b"%02X" % state: state for state in TcpState}
_IN_FLIGHT = frozenset(code for code, state in _STATES.items() if state in IN_FLIGHT)
_ESTABLISHED = b"%02X" % TcpState.ESTABLISHED
_TIME_WAIT = b"%02X" % TcpState.TIME_WAIT
_NO_QUEUE = b"00000000"

_MAYBE_SILENT = b" 0 0 "
"""The ato and quick columns of a connection on which nothing came."""


@dataclass(frozen=True)
class Sightings:
    """What is known of one pod's connections after a look, by their rows' text. The same text is
    the same connection: it has the socket's inode and address.

    `rows` are all of them, in the tables' order; `opened` is when those were that were not there
    when somebody first looked; `silent` since when those are known on which nothing ever came;
    `minisockets` are the rows of what is no connection; `codes` counts the others by the text of
    their state.
    """

    rows: dict[bytes, None] = field(default_factory=dict)
    opened: dict[bytes, float] = field(default_factory=dict)
    silent: dict[bytes, float] = field(default_factory=dict)
    minisockets: frozenset[bytes] = frozenset()
    codes: Counter[bytes] = field(default_factory=Counter)
    finished: float = float("-inf")

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, socket: object) -> bool:
        return any(socket == own for own in self)

    def __iter__(self) -> Iterator[Socket]:
        """Every connection, made from its row."""
        for text in self.rows:
            row = parse_row(text)
            if row is None:
                continue
            since = self.silent.get(text)
            idle = 0.0 if since is None else self.finished - since
            yield Socket(
                *row[:4], TcpState(row.state), int(since is None), row.tx_queue,
                idle, idle, self.opened.get(text), row.minisocket,
            )  # fmt: skip

    def tally(self) -> Tally:
        """All of them, counted from the text."""
        unused = {row for row, since in self.silent.items() if self._never_used(row, since)}
        landed = unused | self.minisockets
        if not _IN_FLIGHT.issuperset(+self.codes):
            landed |= {row for row in self.rows if _code(row) not in _IN_FLIGHT}
        flying = self.opened.keys() - landed if landed else self.opened
        nothing = float("-inf")
        return Tally(
            {_STATES[code]: number for code, number in self.codes.items() if number},
            Counter(_STATES[_code(row)] for row in self.minisockets),
            len(unused),
            known_time(max(self.opened.values(), default=nothing)),
            known_time(max(map(self.opened.__getitem__, flying), default=nothing)),
        )

    def _never_used(self, text: bytes, since: float) -> bool:
        return (
            self.finished - since > NEVER_USED_AFTER
            and _code(text) == _ESTABLISHED
            and text[columns_of(text).tx_queue] == _NO_QUEUE
        )

    def local_ends(self) -> set[tuple[bytes, int]]:
        """The local addresses and ports that have connections."""
        return {parse_local(end) for end in {row[columns_of(row).local] for row in self.rows}}


def _code(text: bytes) -> bytes:
    return text[columns_of(text).state]


def _without(known: dict[bytes, T], gone: Set[bytes]) -> dict[bytes, T]:
    kept = known.copy()
    for row in gone & known.keys():
        del kept[row]
    return kept


class Look:
    """One pass over the tables, in pieces, by which what is known becomes new."""

    def __init__(self, before: Sightings, now: float) -> None:
        self._before = before
        self._watched = now - before.finished <= WATCHED_WITHIN
        self._pieces: list[list[bytes]] = []
        self._changed: list[tuple[list[bytes], float]] = []
        self._kept = 0
        self._rows: list[bytes] = []
        self._opened: dict[bytes, float] = {}
        self._silent: dict[bytes, float] = {}
        self._minisockets: set[bytes] = set()
        self._codes: Counter[bytes] = Counter()
        self._fast_open: set[int] = set()
        self.listeners: list[Listener] = []
        self.time_wait = 0

    def add(self, rows: list[bytes], now: float) -> None:
        """Rows of `find_rows` on one table that were read at `now`."""
        changed = list(filterfalse(self._before.rows.__contains__, rows))
        self._kept += len(rows) - len(changed)
        self._pieces.append(rows)
        if changed:
            self._changed.append((changed, now))

    def finish(self, now: float) -> Sightings:
        """The pass is whole: what it showed. From now on `listeners` and `time_wait` are known."""
        before = self._before
        for changed, read in self._changed:
            self._sort(changed, read)
        gone = self._gone
        if not gone and not self._rows:
            return replace(before, finished=now)
        rows = dict.fromkeys(self._rows)
        if len(rows) < len(self._rows):  # one came twice
            self._codes = Counter(map(_code, rows.keys() - self._minisockets))
        codes = before.codes + self._codes
        codes.subtract(map(_code, gone - before.minisockets))
        return Sightings(
            _without(before.rows, gone) | rows if before.rows else rows,
            _without(before.opened, gone) | self._opened,
            _without(before.silent, gone) | self._silent,
            before.minisockets - gone | self._minisockets,
            codes,
            now,
        )

    @cached_property
    def _gone(self) -> set[bytes]:
        """The rows of the last look that are no more."""
        if self._kept == len(self._before.rows):
            return set()  # unless one came twice: then the next look finds it
        return self._before.rows.keys() - set().union(*self._pieces)

    @cached_property
    def _gone_by_ends(self) -> dict[bytes, bytes]:
        """The same by their two ends: they may have changed only."""
        if not self._watched:
            return {}
        return {row[columns_of(row).ends]: row for row in self._gone}

    def _sort(self, rows: list[bytes], read: float) -> None:
        """Take in new rows of one table: those that need no second look all at once."""
        columns = columns_of(rows[0])
        code, ends = itemgetter(columns.state), itemgetter(columns.ends)
        codes = Counter(map(code, rows))
        self.time_wait += codes[_TIME_WAIT]
        gone = self._gone_by_ends
        plain = rows
        if (
            gone
            or not _IN_FLIGHT.issuperset(+codes)
            or (SURE_RTO and any(_MAYBE_SILENT in row for row in rows))
        ):
            plain = []
            for row in rows:
                if code(row) in _IN_FLIGHT and ends(row) not in gone and _MAYBE_SILENT not in row:
                    plain.append(row)
                elif code(row) != _TIME_WAIT:
                    self._enter(row, read)
            codes = Counter(map(code, plain))
        self._codes.update(codes)
        self._rows += plain
        if self._watched:
            self._opened.update(dict.fromkeys(plain, read))

    def _enter(self, text: bytes, read: float) -> None:
        """Take in one row, whatever it is."""
        row, code = parse_row(text), _code(text)
        if row is None or code not in _STATES:
            return
        if row.state == TcpState.LISTEN:
            self.listeners.append(Listener(row.local, row.local_port, row.rx_queue, None))
            if row.fast_open:
                self._fast_open.add(row.local_port)
            return
        before = self._gone_by_ends.get(text[columns_of(text).ends])
        # Nothing becomes established twice.
        if before and code == _ESTABLISHED != _code(before):
            before = None
        self._rows.append(text)
        opened = self._opened_at(before, read)
        if opened is not None:
            self._opened[text] = opened
        if row.minisocket:
            self._minisockets.add(text)
        else:
            self._codes[code] += 1
        since = self._silent_since(row, before, read)
        if since is not None:
            self._silent[text] = since

    def _opened_at(self, before: bytes | None, read: float) -> float | None:
        if before is not None:
            return self._before.opened.get(before)
        return read if self._watched else None

    def _silent_since(self, row: Row, before: bytes | None, read: float) -> float | None:
        # What came in a Fast Open handshake leaves no trace.
        if not row.silent or row.local_port in self._fast_open:
            return None
        if before is None:
            return read
        return self._before.silent.get(before)  # once used is used for ever
