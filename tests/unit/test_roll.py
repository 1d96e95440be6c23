"""Which workers are replaced, by which signal, and when again."""

import pytest

from drainmon.drain.policy import Policy
from drainmon.drain.roll import (
    IGNORED,
    NO_WORKERS,
    STUCK,
    Outcome,
    Roll,
    best,
    no_memory,
    to_signal,
    way,
)
from drainmon.drain.rolls import FORGOTTEN_AFTER, RollPace, Rolls
from drainmon.pods.pod import NginxProcess

A, B, C, NEW = (NginxProcess(pid, 1, 100) for pid in (11, 12, 13, 14))
NOBODY: frozenset[NginxProcess] = frozenset()


@pytest.mark.parametrize(
    ("workers", "udp", "reuseport", "outcome"),
    [
        (1, False, False, Outcome.RELOAD),
        (2, False, False, Outcome.QUIT),
        (2, False, True, Outcome.RELOAD),
        (2, True, True, Outcome.QUIT),
        (1, True, False, Outcome.QUIT),
    ],
)
def test_the_signals_of_a_roll_follow_from_nginxs_listeners(
    workers: int, udp: bool, reuseport: bool, outcome: Outcome
) -> None:
    assert way(workers, udp, reuseport) is outcome


def test_one_worker_accepts_until_a_new_one_has_started() -> None:
    old = {A, B, C}
    assert to_signal(old, old, NOBODY) == {A, B}
    assert to_signal(old, old, {A, B}) == NOBODY  # they have not reacted yet
    assert to_signal({C}, old, {A, B}) == NOBODY
    assert to_signal({C, NEW}, old, {A, B}) == {C}
    assert to_signal({NEW}, old, {A, B, C}) == NOBODY


def test_new_workers_allow_all_old_ones_to_be_signalled() -> None:
    assert to_signal({A, B, NEW}, {A, B}, NOBODY) == {A, B}


def test_the_only_accepting_worker_is_signalled_last() -> None:
    assert to_signal({A}, {A, B}, {B}) == NOBODY
    assert to_signal({A}, {A, B}, {B}, all_now=True) == {A}


def test_the_best_outcome_of_several_masters_is_reported() -> None:
    reload, quits = Roll(Outcome.RELOAD), Roll(Outcome.QUIT)
    assert best([quits, reload]) == reload
    assert best([STUCK, no_memory(2, 1), quits]) == quits
    assert best([IGNORED, no_memory(2, 1), STUCK]) == STUCK
    assert best([]) == NO_WORKERS
    assert str(quits) == "quit"
    said = "skipped (no memory for a second configuration: nginx has 120 MiB, 18 MiB are left)"
    assert str(no_memory(120 << 20, 18 << 20)) == said


def due(rolls: Rolls, youngest: float | None = None) -> float | None:
    return rolls.next_at(5.0, 1.5, youngest)


def test_pauses_between_rolls_double() -> None:
    rolls = Rolls(RollPace())
    assert due(rolls) == 5.0
    rolls.begin(5.0)
    rolls.goes(Roll(Outcome.QUIT))
    assert due(rolls) is None  # no connection has come since
    assert due(rolls, youngest=5.5) == 6.5
    rolls.begin(10.0)
    rolls.goes(Roll(Outcome.QUIT))
    assert due(rolls, youngest=11.0) == 13.0


@pytest.mark.parametrize(("ended", "tried"), [(STUCK, 1), (no_memory(2, 1), 0), (NO_WORKERS, 0)])
def test_a_roll_without_effect_is_not_repeated(ended: Roll, tried: int) -> None:
    rolls = Rolls(RollPace())
    rolls.begin(5.0)
    rolls.goes(Roll(Outcome.QUIT))
    rolls.goes(ended)
    assert (len(rolls.began), rolls.done, rolls.barred) == (tried, tried, True)
    assert due(rolls, youngest=6.0) is None


def test_a_roll_before_a_restart_is_followed_by_another() -> None:
    rolls = Rolls(RollPace())
    rolls.take_over(Policy(elapsed=20, rolls=2, rolled=10), 80.0)
    assert (rolls.began, rolls.done) == ([90.0], 2)
    assert due(rolls) == 93.0


def test_rolls_of_repeated_drains_are_paced_as_in_one_drain() -> None:
    pace, began = RollPace(), list[float]()
    now = 1000.0
    for _ in range(8):
        rolls = Rolls(pace)
        at = rolls.next_at(now, 0.0, None)
        assert at is not None
        now = max(now, at)
        began.append(now)
        rolls.begin(now)
    assert began[:4] == [1000.0, 1001.0, 1003.0, 1007.0]
    assert began[-1] == 1127.0
    later = now + FORGOTTEN_AFTER + 1
    pace.began(later)
    assert pace.next_at(0.0) == later + 1
