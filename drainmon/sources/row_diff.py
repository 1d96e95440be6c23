"""What has changed between two passes over a table of text rows that hardly changes.

Nearly all of 100,000 rows are what they were, in the order in which they were: they are compared
many at once, as text, which takes a tenth of the time of looking each of them up; then fewer, then
one by one. Pure.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

_TOGETHER = 2048
"""Bytes of text that are compared row by row when they differ."""

_AHEAD = 2
"""So many times their length is then looked through in the earlier pass, to pass over what has gone
since."""


def join_rows(rows: Collection[bytes]) -> bytes:
    """Each followed by a newline, of which it has none."""
    return b"\n".join([*rows, b""])


def split_rows(text: bytes) -> list[bytes]:
    """The rows that were joined; one that is cut off is none."""
    return text.split(b"\n")[:-1]


@dataclass(frozen=True)
class Rows:
    """The rows of a pass, each once, in their order, and the hashes of all of them. Of 64 bits:
    that one of so few is another row's does not happen."""

    text: bytes = b""
    hashes: set[int] = field(default_factory=set)


class RowDiff:
    """One pass over a table, in pieces of joined rows, after another one, whose rows `before` are
    of no use any more when this one has ended. Then `rows` are its own, `new` are the new rows of
    each piece that was added, `gone` the rows that are no more.

    A row that is shown twice is one row. The kernel forgets between two reads where it was, and
    shows rows again when others have come before them meanwhile; at the end of a table that grows
    it nearly always does.
    """

    def __init__(self, before: Rows) -> None:
        self.rows = before
        self.new: list[list[bytes]] = []
        self.gone: list[bytes] = []
        self._before = before.text
        self._at = 0  # how much of the earlier pass this one has come by
        self._kept = 0  # how much of that is in the parts, or has gone
        self._parts: list[bytes] = []
        self._pieces: list[list[_Part]] = []

    def skip(self, text: bytes) -> bool:
        """Whether the next rows are those of the earlier pass: then they are taken in."""
        if not self._before.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def add(self, rows: list[bytes], text: bytes) -> None:
        """Take in the next rows, whatever they are; `text` is the same rows, joined."""
        taken: list[_Part] = []
        self._pieces.append(taken)
        if self._at == len(self._before):
            taken.append(self._take(rows, text, []))
            return
        first = 0
        while first < len(text):
            end = text.find(b"\n", first + _TOGETHER) + 1 or len(text)
            part = text[first:end]
            if not self.skip(part):
                passed = self._pass(part)
                if not passed:  # perhaps more rows have gone than that: try the rest of the piece
                    part = text[first:]
                    passed = self._pass(part)
                taken.append(self._take(split_rows(part), part, passed))
            first += len(part)

    def _pass(self, text: bytes) -> list[bytes]:
        """The next rows of the earlier pass, up to the last one of the text that is among them."""
        rows = split_rows(self._before[self._at : self._at + _AHEAD * len(text)])
        known = set(rows)
        for row in reversed(split_rows(text)) if rows else ():
            if row in known:
                return rows[: rows.index(row) + 1]
        return []

    def _take(self, rows: list[bytes], text: bytes, passed: list[bytes]) -> "_Part":
        """Take in rows in place of those that are passed."""
        read = dict.fromkeys(rows)
        if len(read) < len(rows):
            text = join_rows(read)
        self._parts += self._before[self._kept : self._at], text
        self._kept = self._at = self._at + len(join_rows(passed))
        self.gone += [row for row in passed if row not in read]
        known = set(passed)
        return _Part(len(self._parts) - 1, [row for row in read if row not in known])

    def end(self) -> None:
        """There are no more rows."""
        self.gone += split_rows(self._before[self._at :])
        self._parts.append(self._before[self._kept : self._at])
        hashes = self.rows.hashes
        rows = self._seemingly_new()
        come = set(map(hash, rows))
        if len(come) < len(rows) or not come.isdisjoint(hashes):
            self._sort_out()
            come = set(map(hash, self._seemingly_new()))
        self.new = [[*chain.from_iterable(part.new for part in taken)] for taken in self._pieces]
        hashes.difference_update(map(hash, self.gone))
        hashes |= come
        self.rows = Rows(b"".join(self._parts), hashes)

    def _seemingly_new(self) -> list[bytes]:
        parts = chain.from_iterable(self._pieces)
        return [*chain.from_iterable(part.new for part in parts)]

    def _sort_out(self) -> None:
        """Some of the rows that seem new were in another place before, or are shown twice."""
        gone, moved, seen = set(self.gone), set[bytes](), set[bytes]()
        for part in chain.from_iterable(self._pieces):
            new, again = [], set()
            for row in part.new:
                if row in seen or (row not in gone and hash(row) in self.rows.hashes):
                    again.add(row)
                elif row in gone:
                    moved.add(row)
                else:
                    new.append(row)
                seen.add(row)
            part.new[:] = new
            if again:
                rows = split_rows(self._parts[part.number])
                self._parts[part.number] = join_rows([row for row in rows if row not in again])
        self.gone = [row for row in self.gone if row not in moved]


class _Part(NamedTuple):
    """A part of a piece that is not as it was: which one it is, and the rows that seem new."""

    number: int
    new: list[bytes]
