"""The limits of one pod, and the share of others."""

import contextlib
from contextlib import ExitStack

import pytest

from drainmon.server.limits import (
    CONNECTIONS,
    DRAIN_BURST,
    DRAIN_RATE,
    DRAINS,
    EXCESS,
    LONGEST_WAIT,
    Admission,
    Limits,
    RateLimit,
    TooMany,
)

MANY = 1_000_000


def test_a_pod_with_too_many_connections_does_not_affect_others() -> None:
    limits = Limits(MANY)
    got = [limits.admit("greedy", 0.0) for _ in range(CONNECTIONS + EXCESS + 5)]
    assert got[:CONNECTIONS] == [Admission.SERVED] * CONNECTIONS
    assert got[CONNECTIONS:-5] == [Admission.EXCESS] * EXCESS
    assert got[-5:] == [Admission.REFUSED] * 5
    assert limits.admit("other", 0.0) is Admission.SERVED


def test_a_closed_connection_makes_room() -> None:
    limits = Limits(MANY)
    for _ in range(CONNECTIONS):
        limits.admit("pod", 0.0)
    assert limits.admit("pod", 0.0) is Admission.EXCESS
    limits.leave("pod")
    limits.leave("pod")
    assert limits.admit("pod", 0.0) is Admission.SERVED


def test_two_clients_on_each_of_500_pods_are_served() -> None:
    limits = Limits(4096)
    assert all(limits.admit(n % 500, 0.0) is Admission.SERVED for n in range(1000))


def test_with_few_files_every_pod_gets_a_connection() -> None:
    limits = Limits(64)
    for pod in range(8):
        for _ in range(100):
            limits.admit(pod, 0.0)
    assert limits.admit("first of its pod", 0.0) is Admission.SERVED
    assert limits.admit("first of its pod", 0.0) is Admission.REFUSED
    admitted = [limits.admit(f"pod {n}", 0.0) for n in range(100)]
    assert 0 < admitted.count(Admission.SERVED) < 64 * 3 // 4 - 64 // 2
    assert admitted[-1] is Admission.REFUSED


def test_root_of_the_host_has_no_limit() -> None:
    limits = Limits(16)
    for _ in range(10_000):
        assert limits.admit(None, 0.0) is Admission.SERVED
        assert limits.request(None, 0.0) == 0.0
    with contextlib.ExitStack() as following:
        for _ in range(1000):
            assert following.enter_context(limits.drain(None, 0.0)) == 0.0
    for _ in range(10_000):
        limits.leave(None)
    assert limits.admit("pod", 0.0) is Admission.SERVED


def test_a_pod_that_connects_too_often_is_refused_for_a_while() -> None:
    limits = Limits(MANY)

    def connect(now: float) -> bool:
        if limits.admit("pod", now) is Admission.REFUSED:
            return False
        limits.leave("pod")
        return True

    assert not all(connect(0.0) for _ in range(2000))
    assert connect(1.0)
    assert sum(connect(11.0) for _ in range(2000)) >= 1000


def test_the_number_of_drains_that_a_pod_follows_is_limited() -> None:
    limits = Limits(MANY)
    with ExitStack() as stack:
        for _ in range(DRAINS):
            assert stack.enter_context(limits.drain("pod", 0.0)) == 0.0
        with pytest.raises(TooMany, match=f"this pod follows {DRAINS} drains already"):
            stack.enter_context(limits.drain("pod", 0.0))
        with limits.drain("other", 0.0) as wait:
            assert wait == 0.0
    with limits.drain("pod", 0.0):
        pass


def test_drains_requested_too_often_wait() -> None:
    limits = Limits(MANY)
    waits = []
    with pytest.raises(TooMany, match="cannot drain: this pod asks too often"):
        for _ in range(DRAIN_BURST + 100):
            with limits.drain("pod", 0.0) as wait:
                waits.append(wait)
    assert waits[:DRAIN_BURST] == [0.0] * DRAIN_BURST
    assert waits[DRAIN_BURST] == pytest.approx(1 / DRAIN_RATE)
    assert waits[-1] <= LONGEST_WAIT
    with limits.drain("other", 0.0) as wait:
        assert wait == 0.0


def test_a_pace_limits_the_rate_and_restores_its_burst() -> None:
    pace = RateLimit(rate=10.0, burst=3)
    assert [pace.turn("a", 0.0, 1.0) for _ in range(3)] == [0.0] * 3
    assert pace.turn("a", 0.0, 1.0) == pytest.approx(0.1)
    assert pace.turn("a", 0.1, 1.0) == pytest.approx(0.1)
    assert pace.turn("a", 0.1, 0.15) is None
    assert pace.turn("a", 0.1, 1.0) == pytest.approx(0.2)  # the refused turn has cost nothing
    assert [pace.turn("a", 10.0, 0.0) for _ in range(3)] == [0.0] * 3
    assert pace.turn("a", 10.0, 0.0) is None
    assert pace.turn("b", 10.0, 0.0) == 0.0
