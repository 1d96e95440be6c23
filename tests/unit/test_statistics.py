"""The statistics of drains."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.drain.report import DrainRecord
from drainmon.drain.statistics import (
    LAST_ARRIVAL_BOUNDS,
    SECONDS_BOUNDS,
    DrainStatistics,
    Histogram,
)


def record(result: str, seconds: float, last_arrival: float | None) -> DrainRecord:
    return DrainRecord(
        "web", 1, 1e9, min_wait=5.0, quiet=1.5,
        result=result, seconds=seconds, last_arrival=last_arrival,
    )  # fmt: skip


def test_a_bucket_includes_its_bound() -> None:
    histogram = Histogram((1, 2), [0.0, 1.0, 1.5, 2.0, 2.1])
    assert histogram.cumulative() == [(1, 2), (2, 4), (inf, 5)]
    assert (histogram.count, histogram.sum) == (5, 6.6)


@given(st.lists(st.floats(0, 1e4)))
def test_buckets_are_cumulative(values: list[float]) -> None:
    histogram = Histogram(SECONDS_BOUNDS, values)
    for bound, count in histogram.cumulative():
        assert count == sum(value <= bound for value in values)


def test_bounds_are_increasing() -> None:
    for bounds in (SECONDS_BOUNDS, LAST_ARRIVAL_BOUNDS):
        assert list(bounds) == sorted(set(bounds))


def test_results_are_counted_from_zero() -> None:
    statistics = DrainStatistics()
    statistics.add(record("drained", 6.5, 1.25))
    statistics.add(record("drained", 5.0, None))
    statistics.add(record("deadline", 25.0, 24.5))
    assert statistics.results == {
        "drained": 2, "deadline": 1, "cut": 0, "stuck": 0,
        "gone": 0, "abandoned": 0, "failed": 0,
    }  # fmt: skip
    assert (statistics.seconds.count, statistics.last_arrival.count) == (3, 2)
    assert statistics.last_arrival.sum == 25.75


def test_an_unfinished_drain_adds_no_times() -> None:
    statistics = DrainStatistics()
    statistics.add(record("abandoned", 2.0, 1.9))
    statistics.add(record("failed", 2.0, 1.9))
    assert (statistics.results["abandoned"], statistics.results["failed"]) == (1, 1)
    assert (statistics.seconds.count, statistics.last_arrival.count) == (0, 0)
    assert (statistics.late, statistics.unsettled) == (0, 0)


@pytest.mark.parametrize(
    ("seconds", "last_arrival", "late", "unsettled"),
    [
        (5.0, None, 0, 0),
        (5.0, 3.5, 0, 0),
        (7.0, 5.5, 1, 0),  # the quiet period covered it
        (12.5, 12.4, 1, 1),  # it never became quiet
        (5.0, 4.9, 0, 1),
    ],
)
def test_late_arrivals_are_counted(
    seconds: float, last_arrival: float | None, late: int, unsettled: int
) -> None:
    statistics = DrainStatistics()
    statistics.add(record("drained", seconds, last_arrival))
    assert (statistics.late, statistics.unsettled) == (late, unsettled)
