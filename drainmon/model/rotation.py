"""Whose turn it is to be looked at: every pod in turn, those without need passed over."""

from bisect import bisect_right
from collections.abc import Callable, Iterable

ASKED_AT_MOST = 32
"""Pods asked for their need in one turn: an idle node with hundreds must cost next to nothing."""


class Rotation:
    """Goes round the pods by number."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, pods: Iterable[int], needs: Callable[[int], bool]) -> int | None:
        """The next pod that needs a look, None when none of those asked does."""
        order = sorted(pods)
        start = bisect_right(order, self._last)
        for number in [*order[start:], *order[:start]][:ASKED_AT_MOST]:
            self._last = number
            if needs(number):
                return number
        return None
