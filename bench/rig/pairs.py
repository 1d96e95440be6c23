"""The difference between pairs of measurements taken shortly after each other."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

RESAMPLES = 4000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A median and its 95% confidence interval."""

    median: float
    low: float
    high: float


def median_of(values: Sequence[float]) -> Interval:
    """The interval by bootstrap, always with the same random numbers. Raises StatisticsError
    without values."""
    chance = random.Random(1)
    medians = sorted(
        statistics.median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES)
    )
    tail = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return Interval(statistics.median(values), medians[tail], medians[-1 - tail])
