"""What a node's drains add up to since the daemon began: how they ended, how long they took, and
how late connections still arrived."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from drainmon.drain.report import DrainRecord
from drainmon.drain.roll import Outcome, Roll

RESULTS = ("drained", "deadline", "cut", "gone", "stuck", "abandoned", "failed")
"""How a drain can end."""

WHOLE = frozenset({"drained", "deadline"})
"""Ends of drains that took their time; the others were cut short."""

SECONDS_BOUNDS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12.5, 15, 20, 25, 30, 45, 60, 90, 120, 300, 600)

LAST_ARRIVAL_BOUNDS = (0.1, 0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12.5, 15, 20, 25, 30, 60, 120)


class Histogram:
    """Values counted by bucket; `bounds` are the buckets' upper ends, each included, rising."""

    def __init__(self, bounds: Sequence[float], values: Iterable[float] = ()) -> None:
        self.bounds = tuple(bounds)
        self._counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0
        for value in values:
            self.observe(value)

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        return sum(self._counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """How many values are not above each bound; the last bound is infinity."""
        return list(zip((*self.bounds, float("inf")), accumulate(self._counts), strict=True))


class DrainStatistics:
    """`results` counts drains by how they ended, `seconds` how long those took whose end was told
    to a caller, `last_arrival` how many seconds after the drain's start its last connection came,
    for those in which one came. `late` counts those in which it came after min_wait, `unsettled`
    those that ended before a quiet period was over: what came next was refused. `rolls` counts how
    the replacing of nginx's workers went, `refused_callers` counts calls of the port in a pod that
    did not come from its node."""

    def __init__(self) -> None:
        self.results = dict.fromkeys(RESULTS, 0)
        self.rolls = dict.fromkeys(Outcome, 0)
        self.seconds = Histogram(SECONDS_BOUNDS)
        self.last_arrival = Histogram(LAST_ARRIVAL_BOUNDS)
        self.late = 0
        self.unsettled = 0
        self.refused_callers = 0

    def refused_caller(self) -> None:
        """A caller that is not the node has called the port in a pod."""
        self.refused_callers += 1

    def rolled(self, roll: Roll) -> None:
        """Workers were replaced, or were not."""
        self.rolls[roll.outcome] += 1

    def add(self, record: DrainRecord) -> None:
        """A drain has ended."""
        if record.result is None:
            raise ValueError("cannot add up a drain that runs")
        self.results[record.result] += 1
        if record.result not in WHOLE:
            return
        self.seconds.observe(record.seconds)
        if record.last_arrival is not None:
            self.last_arrival.observe(record.last_arrival)
            self.late += record.last_arrival > record.min_wait
            # Times are rounded to a millisecond each.
            calm = record.seconds - record.last_arrival + 0.002
            self.unsettled += calm < record.quiet
