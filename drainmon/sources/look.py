"""A look at the rows of a pod, by which what is known of its connections becomes new.

Rows tell neither when a connection was opened nor for how long nothing came on it; whoever looks
often knows both. Pure; times are monotonic seconds.
"""

from collections import Counter
from collections.abc import Set
from dataclasses import replace
from operator import itemgetter
from typing import TypeVar

from drainmon.model.tcp import TcpState
from drainmon.procfs.net_tcp import SURE_RTO, columns_of, parse_row
from drainmon.sources.row_diff import RowDiff, join_rows
from drainmon.sources.sightings import ESTABLISHED, IN_FLIGHT_CODES, STATES, Sightings, code_of

WATCHED_WITHIN = 3.0
"""Seconds between two looks above which it is not known what has come and gone meanwhile."""

T = TypeVar("T")

_TIME_WAIT = b"%02X" % TcpState.TIME_WAIT

_MAYBE_SILENT = b" 0 0 "
"""The ato and quick columns of a connection on which nothing came."""


class Look:
    """One pass over the tables, in pieces. Rows are compared with those of the look before as they
    come, and sorted when the pass has ended."""

    def __init__(self, before: Sightings, now: float) -> None:
        self._before = before
        self._watched = now - before.finished <= WATCHED_WITHIN
        self._diff = RowDiff(before.rows)
        self._read: list[float] = []
        self._time_wait = 0

    def add(self, rows: list[bytes], now: float) -> None:
        """Rows of `find_rows` on one table that were read at `now`."""
        text = join_rows(rows)
        if self._diff.skip(text):
            return
        state = columns_of(rows[0]).state
        alive = [row for row in rows if row[state] != _TIME_WAIT]
        if len(alive) < len(rows):
            self._time_wait += len(rows) - len(alive)
            text = join_rows(alive)
            if self._diff.skip(text):
                return
        self._diff.add(alive, text)
        self._read.append(now)

    def finish(self, now: float) -> Sightings:
        """The pass is whole: what is known now."""
        self._diff.end()
        after = replace(self._before, rows=self._diff.rows, time_wait=self._time_wait, finished=now)
        if not self._diff.gone and not any(self._diff.new):
            return after
        sorting = _Sorting(self._before, frozenset(self._diff.gone), self._watched)
        for rows, read in zip(self._diff.new, self._read, strict=True):
            if rows:
                sorting.add(rows, read)
        return sorting.into(after)


class _Sorting:
    """What is known, without the rows that have gone, while new ones are taken in."""

    def __init__(self, before: Sightings, gone: frozenset[bytes], watched: bool) -> None:
        self._before = before
        self._watched = watched
        self._gone_by_ends: dict[bytes, bytes] = {}
        """They may have changed only."""
        if watched:
            self._gone_by_ends = {row[columns_of(row).ends]: row for row in gone}
        self._opened = _without(before.opened, gone)
        self._silent = _without(before.silent, gone)
        self._listening = _without(before.listening, gone)
        self._fast_open = {row.local_port for row in self._listening.values() if row.fast_open}
        self._minisockets = set(before.minisockets - gone)
        self._unreadable = set(before.unreadable - gone)
        others = before.minisockets | before.listening.keys() | before.unreadable
        self._codes = before.codes - Counter(map(code_of, gone - others))

    def into(self, after: Sightings) -> Sightings:
        """The same with what is known now."""
        return replace(
            after,
            opened=self._opened,
            silent=self._silent,
            codes=self._codes,
            minisockets=frozenset(self._minisockets),
            listening=self._listening,
            unreadable=frozenset(self._unreadable),
        )

    def add(self, rows: list[bytes], read: float) -> None:
        """Take in new rows of one table; those whose state tells enough are not parsed."""
        code = itemgetter(columns_of(rows[0]).state)
        codes = Counter(map(code, rows))
        plain = rows
        if not IN_FLIGHT_CODES.issuperset(codes) or (SURE_RTO and _MAYBE_SILENT in join_rows(rows)):
            plain = []
            for row in rows:
                if code(row) in IN_FLIGHT_CODES and _MAYBE_SILENT not in row:
                    plain.append(row)
                else:
                    self._enter(row, read)
            codes = Counter(map(code, plain))
        self._codes.update(codes)
        if self._gone_by_ends:
            for row in plain:
                self._open(row, self._earlier(row), read)
        elif self._watched:
            self._opened.update(dict.fromkeys(plain, read))

    def _enter(self, text: bytes, read: float) -> None:
        """Take in one row, whatever it is."""
        row, code = parse_row(text), code_of(text)
        if row is None or code not in STATES:
            self._unreadable.add(text)
            return
        if row.state == TcpState.LISTEN:
            self._listening[text] = row
            if row.fast_open:
                self._fast_open.add(row.local_port)
            return
        before = self._earlier(text)
        self._open(text, before, read)
        if row.minisocket:
            self._minisockets.add(text)
        else:
            self._codes[code] += 1
        # What came in a Fast Open handshake leaves no trace.
        silent = row.silent and row.local_port not in self._fast_open
        since = self._silent_since(before, read) if silent else None
        if since is not None:
            self._silent[text] = since

    def _earlier(self, text: bytes) -> bytes | None:
        """The row that the same connection had before."""
        before = self._gone_by_ends.get(text[columns_of(text).ends])
        # Nothing becomes established twice.
        if before and code_of(text) == ESTABLISHED != code_of(before):
            return None
        return before

    def _open(self, text: bytes, before: bytes | None, read: float) -> None:
        """Note when it was opened, as far as that is known."""
        if before is not None:
            opened = self._before.opened.get(before)
        else:
            opened = read if self._watched else None
        if opened is not None:
            self._opened[text] = opened

    def _silent_since(self, before: bytes | None, read: float) -> float | None:
        if before is None:
            return read
        return self._before.silent.get(before)  # once used is used for ever


def _without(known: dict[bytes, T], gone: Set[bytes]) -> dict[bytes, T]:
    kept = known.copy()
    for row in gone & known.keys():
        del kept[row]
    return kept
