"""How often to look, so that all draining pods together take a twentieth of a core. Pure."""

LEAST = 0.075
"""Least seconds between two looks at a pod."""

SHARE = 30
"""Seconds that pass for each second of work: leaves a third for unmeasured work, such as making and
waking threads. Measured with 1, 5 and 20 pods: 2.2, 3.7 and 1.9 % of a core."""

_SMOOTHING = 0.2


class Pace:
    """The recent cost of looks, by pod, in seconds of CPU time.

    `around` is the event loop's work between two looks: reading counters, stepping the drain,
    writing to clients.
    """

    def __init__(self) -> None:
        self._looks: dict[int, float] = {}
        self._around = 0.0

    def looked(self, pod: int, look: float, around: float) -> None:
        """Record the cost of a look at a draining pod."""
        self._looks[pod] = _smooth(self._looks.get(pod, look), look)
        self._around = _smooth(self._around or around, around)

    def forget(self, pod: int) -> None:
        """Remove a pod that no longer drains."""
        self._looks.pop(pod, None)

    @property
    def interval(self) -> float:
        """Seconds between two looks at each pod."""
        once = sum(self._looks.values()) + len(self._looks) * self._around
        return max(LEAST, SHARE * once)


def _smooth(before: float, now: float) -> float:
    return before + _SMOOTHING * (now - before)
