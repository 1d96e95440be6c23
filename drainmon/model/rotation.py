"""Whose turn it is to be looked at: every pod in turn, so many at once."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

ASKED_AT_MOST = 32
"""Pods asked for their need in one turn: an idle node with hundreds must cost next to nothing."""


class Rotation:
    """Goes round the pods by number."""

    def __init__(self) -> None:
        self._last = 0

    def turn(self, pods: Iterable[int]) -> Iterator[int]:
        """The pods to ask in this turn, until one needs something: those after the last one that
        was asked come first."""
        order = sorted(pods)
        start = bisect_right(order, self._last)
        for number in [*order[start:], *order[:start]][:ASKED_AT_MOST]:
            self._last = number
            yield number
