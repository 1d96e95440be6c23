"""What has changed between two passes over a table of text rows that hardly changes.

Nearly all of 100,000 rows are what they were, in the order in which they were: they are compared
many at once, as text, which takes a tenth of the time of looking each of them up; then fewer, then
one by one. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Set
from itertools import chain

_TOGETHER = 2048
"""Bytes of text that are compared row by row when they differ."""

_AHEAD = 2
"""So many times their length is then looked through in the earlier pass, to pass over what has gone
since."""


def join_rows(rows: Iterable[bytes]) -> bytes:
    """Each followed by a newline, of which it has none."""
    return b"\n".join([*rows, b""])


def split_rows(text: bytes) -> list[bytes]:
    """The rows that were joined; one that is cut off is none."""
    return text.split(b"\n")[:-1]


class RowDiff:
    """One pass over a table, in pieces of joined rows. `before` is the text of the earlier pass.
    When the pass has ended, `text` is its own, `new` are the new rows of each piece that was added,
    `gone` the rows that are no more.

    The kernel may show rows again, at the end of one piece and the beginning of the next: they are
    taken once.
    """

    def __init__(self, before: bytes) -> None:
        self.text = b""
        self.new: list[list[bytes]] = []
        self.gone: list[bytes] = []
        self._before = before
        self._at = 0  # how much of the earlier pass this one has come by
        self._taken = 0  # how much of that is in the parts, or has gone
        self._parts: list[bytes] = []
        self._last = b""  # of the parts
        self._twice = False

    def skip(self, text: bytes) -> bool:
        """Whether the next rows are those of the earlier pass: then they are taken in."""
        if not self._before.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def add(self, text: bytes) -> None:
        """Take in the next rows, whatever they are."""
        new: list[bytes] = []
        first = 0
        while first < len(text):
            end = text.find(b"\n", first + _TOGETHER) + 1 or len(text)
            part = text[first:end]
            if not self.skip(part):
                if not (passed := self._pass(part)):
                    part = text[first:]
                    passed = self._pass(part)
                new += self._take(part, passed)
            first += len(part)
        self.new.append(new)

    def _pass(self, text: bytes) -> list[bytes]:
        """The next rows of the earlier pass, up to the last one of the text that is among them."""
        rows = split_rows(self._before[self._at : self._at + _AHEAD * len(text)])
        known = set(rows)
        for row in reversed(split_rows(text)):
            if row in known:
                return rows[: rows.index(row) + 1]
        return []

    def _take(self, text: bytes, passed: list[bytes]) -> list[bytes]:
        """Take in text in place of the rows that are passed. Returns those that are new."""
        skipped = self._before[self._taken : self._at]
        last = self._last + skipped[-_TOGETHER:]
        rows = split_rows(text)
        if rows[0] in last:  # a part of it would do, and is found fast
            again = set(split_rows(last))
            rows = [row for row in rows if row not in again]
        read = dict.fromkeys(rows)
        text = join_rows(read)
        self._parts += skipped, text
        self._last = (last + text)[-_TOGETHER:]
        self._taken = self._at = self._at + len(join_rows(passed))
        self.gone += [row for row in passed if row not in read]
        known = set(passed)
        self._twice |= len(known) < len(passed)
        return [row for row in read if row not in known]

    def end(self) -> None:
        """There are no more rows."""
        self.gone += split_rows(self._before[self._at :])
        self._parts.append(self._before[self._taken : self._at])
        self.text = b"".join(self._parts)
        if self._twice or not set(self.gone).isdisjoint(chain.from_iterable(self.new)):
            self._look_up_all()

    def _look_up_all(self) -> None:
        """Some rows were twice in the earlier pass or are elsewhere in this one, or too many have
        gone."""
        before, rows = Counter(split_rows(self._before)), dict.fromkeys(split_rows(self.text))
        self.text = join_rows(rows)
        self.new = list(_first_of(self.new, rows.keys() - before.keys()))
        self.gone = list((before - Counter(rows.keys())).elements())


def _first_of(pieces: list[list[bytes]], wanted: Set[bytes]) -> Iterator[list[bytes]]:
    """Of each piece the wanted rows that are in none before."""
    left = set(wanted)
    for rows in pieces:
        found = [row for row in rows if row in left]
        left.difference_update(found)
        yield found
