"""Departed pods, remembered for a while so that their last counts can be scraped."""

from collections import deque

from drainmon.model.counts import Counts
from drainmon.pods.pod import Pod

KEPT_SECONDS = 300.0
"""How long Prometheus returns the last value of a series that has ended."""

KEPT_PODS = 1000
"""Departed pods at most, on a node where pods come and go all the time."""


class Departures:
    """The recently departed pods. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._gone: deque[tuple[float, Pod, Counts]] = deque(maxlen=KEPT_PODS)

    def record(self, pod: Pod, last: Counts, now: float) -> None:
        """Record a departed pod and its last counts."""
        self._gone.append((now, pod, last))

    def recent(self, now: float) -> list[tuple[Pod, Counts]]:
        """The remembered pods, earliest first."""
        while self._gone and self._gone[0][0] < now - KEPT_SECONDS:
            self._gone.popleft()
        return [(pod, last) for _, pod, last in self._gone]
