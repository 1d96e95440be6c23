"""Pods that are gone, remembered for a while: the last of what they counted is still to be read."""

from collections import deque

from drainmon.model.counts import Counts
from drainmon.pods.pod import Pod

KEPT_SECONDS = 300.0
"""Prometheus looks back as far for a series that has ended."""

KEPT_PODS = 1000
"""At the most, on a node where pods come and go all the time."""


class Departures:
    """The pods that have gone lately. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._gone: deque[tuple[float, Pod, Counts]] = deque(maxlen=KEPT_PODS)

    def note(self, pod: Pod, last: Counts, now: float) -> None:
        """A pod has gone, with `last` counted of it."""
        self._gone.append((now, pod, last))

    def recent(self, now: float) -> list[tuple[Pod, Counts]]:
        """Those that are still remembered, the earliest first."""
        while self._gone and self._gone[0][0] < now - KEPT_SECONDS:
            self._gone.popleft()
        return [(pod, last) for _, pod, last in self._gone]
