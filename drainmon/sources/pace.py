"""How often to look, so that all pods that are being drained take a twentieth of a core together.
Pure."""

LEAST = 0.075
"""Seconds between two looks at a pod at the least."""

SHARE = 30
"""One second of work for so many that pass: a third is left for what nobody's clock shows, such as
making threads and waking them. Measured with 1, 5 and 20 pods: 2.2, 3.7 and 1.9 % of a core."""

_SMOOTHING = 0.2


class Pace:
    """What looks have cost lately, by pod; times are seconds of processor time.

    `around` is what the event loop spends between one look and the next: reading counters, stepping
    the drain, telling its callers.
    """

    def __init__(self) -> None:
        self._looks: dict[int, float] = {}
        self._around = 0.0

    def looked(self, pod: int, look: float, around: float) -> None:
        """A look at a pod that is being drained has ended."""
        self._looks[pod] = _smooth(self._looks.get(pod, look), look)
        self._around = _smooth(self._around or around, around)

    def forget(self, pod: int) -> None:
        """It is not drained any more."""
        self._looks.pop(pod, None)

    @property
    def interval(self) -> float:
        """Seconds between two looks at each pod."""
        once = sum(self._looks.values()) + len(self._looks) * self._around
        return max(LEAST, SHARE * once)


def _smooth(before: float, now: float) -> float:
    return before + _SMOOTHING * (now - before)
