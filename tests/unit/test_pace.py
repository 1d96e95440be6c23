"""Snapshots of all draining pods together cost a bounded share of a core."""

import pytest

from drainmon.sources.pace import LEAST, SHARE, Pace


def settled(costs: dict[int, float], around: float) -> Pace:
    pace = Pace()
    for _ in range(100):
        for pod, cost in costs.items():
            pace.add(pod, cost, around)
    return pace


def test_cheap_snapshots_come_at_the_shortest_interval() -> None:
    assert Pace().interval == LEAST
    assert settled({1: 0.0005}, 0.0005).interval == LEAST


@pytest.mark.parametrize("pods", [5, 20, 200])
def test_all_pods_share_the_time_for_snapshots(pods: int) -> None:
    pace = settled(dict.fromkeys(range(pods), 0.001), 0.0005)
    assert pods * 0.0015 / pace.interval == pytest.approx(1 / SHARE)


def test_a_pod_with_many_sockets_slows_those_of_all_pods() -> None:
    assert settled({1: 0.3, 2: 0.001}, 0.001).interval == pytest.approx(SHARE * 0.303)


def test_a_pod_whose_drain_ended_does_not_count() -> None:
    pace = settled({1: 0.3, 2: 0.001}, 0.001)
    pace.forget(1)
    pace.forget(1)
    assert pace.interval == LEAST


def test_a_single_expensive_snapshot_is_averaged() -> None:
    pace = settled({1: 0.001}, 0.0)
    pace.add(1, 0.5, 0.0)
    assert LEAST < pace.interval < SHARE * 0.15
