"""All looks of all pods that are being drained together cost a bounded share of a core."""

import pytest

from drainmon.sources.pace import LEAST, SHARE, Pace


def settled(costs: dict[int, float], around: float) -> Pace:
    pace = Pace()
    for _ in range(100):
        for pod, cost in costs.items():
            pace.looked(pod, cost, around)
    return pace


def test_few_cheap_looks_come_as_often_as_looks_may() -> None:
    assert Pace().interval == LEAST
    assert settled({1: 0.0005}, 0.0005).interval == LEAST


@pytest.mark.parametrize("pods", [5, 20, 200])
def test_the_share_is_that_of_all_pods_together(pods: int) -> None:
    pace = settled(dict.fromkeys(range(pods), 0.001), 0.0005)
    assert pods * 0.0015 / pace.interval == pytest.approx(1 / SHARE)


def test_a_pod_with_many_sockets_slows_all() -> None:
    assert settled({1: 0.3, 2: 0.001}, 0.001).interval == pytest.approx(SHARE * 0.303)


def test_a_pod_that_is_not_drained_any_more_does_not_count() -> None:
    pace = settled({1: 0.3, 2: 0.001}, 0.001)
    pace.forget(1)
    pace.forget(1)
    assert pace.interval == LEAST


def test_one_dear_look_is_not_all() -> None:
    pace = settled({1: 0.001}, 0.0)
    pace.looked(1, 0.5, 0.0)
    assert LEAST < pace.interval < SHARE * 0.15
