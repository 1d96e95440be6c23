"""Chooses the pods of a turn, all pods in rotation."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

CHECKED_AT_MOST = 32
"""Pods checked in one turn at most: an idle node with hundreds must cost next to nothing."""


class Rotation:
    """Rotates over the pods by number."""

    def __init__(self) -> None:
        self._last = 0

    def turn(self, pods: Iterable[int]) -> Iterator[int]:
        """The pods to check in this turn, beginning after the last one that was checked."""
        order = sorted(pods)
        start = bisect_right(order, self._last)
        for number in [*order[start:], *order[:start]][:CHECKED_AT_MOST]:
            self._last = number
            yield number
