"""Statistics of a node's drains since the daemon started: results, durations, last arrivals."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from drainmon.drain.report import DrainRecord
from drainmon.drain.roll import Outcome, Roll

RESULTS = ("drained", "deadline", "cut", "gone", "stuck", "abandoned", "failed")
"""All results of drains."""

WHOLE = frozenset({"drained", "deadline"})
"""Results of drains that took their full time; the others were cut short."""

SECONDS_BOUNDS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12.5, 15, 20, 25, 30, 45, 60, 90, 120, 300, 600)

LAST_ARRIVAL_BOUNDS = (0.1, 0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12.5, 15, 20, 25, 30, 60, 120)


class Histogram:
    """Values counted by bucket; `bounds` are the buckets' inclusive upper ends, ascending."""

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
        """Each bound with the number of values up to it; the last bound is infinity."""
        return list(zip((*self.bounds, float("inf")), accumulate(self._counts), strict=True))


class DrainStatistics:
    """`results` counts drains by result; `seconds` are the durations of drains whose client got a
    result; `last_arrival` are the seconds from a drain's start to its last arrival, for drains with
    arrivals. `late` counts drains with an arrival after min_wait, `unsettled` drains that ended
    before a quiet period was over: the next connection was refused. `rolls` counts rolls by
    outcome, `refused_callers` connections to the port in a pod that did not come from its node."""

    def __init__(self) -> None:
        self.results = dict.fromkeys(RESULTS, 0)
        self.rolls = dict.fromkeys(Outcome, 0)
        self.seconds = Histogram(SECONDS_BOUNDS)
        self.last_arrival = Histogram(LAST_ARRIVAL_BOUNDS)
        self.late = 0
        self.unsettled = 0
        self.refused_callers = 0

    def refused_caller(self) -> None:
        """Count a connection to the port in a pod that did not come from its node."""
        self.refused_callers += 1

    def rolled(self, roll: Roll) -> None:
        """Count a roll by its outcome."""
        self.rolls[roll.outcome] += 1

    def add(self, record: DrainRecord) -> None:
        """Count an ended drain."""
        if record.result is None:
            raise ValueError("cannot count a drain that runs")
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
