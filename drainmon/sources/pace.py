"""The pace of snapshots, by which all draining pods together take a twentieth of a core. Pure."""

LEAST = 0.075
"""Least seconds between two snapshots of a pod."""

SHARE = 30
"""Seconds that pass for each second of work: leaves a third for unmeasured work, such as making and
waking threads. Measured with 1, 5 and 20 pods: 2.2, 3.7 and 1.9 % of a core."""

_SMOOTHING = 0.2


class Pace:
    """The recent cost of snapshots, by pod, in seconds of CPU time.

    `around` is the event loop's work between two snapshots: reading counters, stepping the drain,
    writing to clients.
    """

    def __init__(self) -> None:
        self._costs: dict[int, float] = {}
        self._around = 0.0

    def add(self, pod: int, cost: float, around: float) -> None:
        """Record the cost of a snapshot of a draining pod."""
        self._costs[pod] = _smooth(self._costs.get(pod, cost), cost)
        self._around = _smooth(self._around or around, around)

    def forget(self, pod: int) -> None:
        """Remove a pod that no longer drains."""
        self._costs.pop(pod, None)

    @property
    def interval(self) -> float:
        """Seconds between two snapshots of each pod."""
        once = sum(self._costs.values()) + len(self._costs) * self._around
        return max(LEAST, SHARE * once)


def _smooth(before: float, now: float) -> float:
    return before + _SMOOTHING * (now - before)
