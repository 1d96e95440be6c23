"""Which workers are replaced, in which way, and when again."""

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
    to_tell,
    way,
)
from drainmon.drain.rolls import FORGOTTEN_AFTER, Pace, Rolls
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
def test_the_way(workers: int, udp: bool, reuseport: bool, outcome: Outcome) -> None:
    assert way(workers, udp, reuseport) is outcome


def test_one_accepts_until_another_has_started() -> None:
    old = {A, B, C}
    assert to_tell(old, old, NOBODY) == {A, B}
    assert to_tell(old, old, {A, B}) == NOBODY  # they have not heard it yet
    assert to_tell({C}, old, {A, B}) == NOBODY
    assert to_tell({C, NEW}, old, {A, B}) == {C}
    assert to_tell({NEW}, old, {A, B, C}) == NOBODY


def test_who_is_replaced_by_itself_is_not_waited_for() -> None:
    assert to_tell({A, B, NEW}, {A, B}, NOBODY) == {A, B}


def test_one_who_accepts_alone_is_told_only_when_all_are() -> None:
    assert to_tell({A}, {A, B}, {B}) == NOBODY
    assert to_tell({A}, {A, B}, {B}, all_now=True) == {A}


def test_what_is_said_of_several_masters() -> None:
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


def test_each_roll_comes_later_than_the_one_before() -> None:
    rolls = Rolls(Pace())
    assert due(rolls) == 5.0
    rolls.begin(5.0)
    rolls.goes(Roll(Outcome.QUIT))
    assert due(rolls) is None  # nobody has come since
    assert due(rolls, youngest=5.5) == 6.5
    rolls.begin(10.0)
    rolls.goes(Roll(Outcome.QUIT))
    assert due(rolls, youngest=11.0) == 13.0


@pytest.mark.parametrize(("ended", "tried"), [(STUCK, 1), (no_memory(2, 1), 0), (NO_WORKERS, 0)])
def test_what_did_nothing_is_not_tried_again(ended: Roll, tried: int) -> None:
    rolls = Rolls(Pace())
    rolls.begin(5.0)
    rolls.goes(Roll(Outcome.QUIT))
    rolls.goes(ended)
    assert (len(rolls.began), rolls.done, rolls.barred) == (tried, tried, True)
    assert due(rolls, youngest=6.0) is None


def test_of_rolls_before_the_daemon_nobody_knows_who_came_since() -> None:
    rolls = Rolls(Pace())
    rolls.take_over(Policy(elapsed=20, rolls=2, rolled=10), 80.0)
    assert (rolls.began, rolls.done) == ([90.0], 2)
    assert due(rolls) == 93.0


def test_drains_in_a_loop_are_paced_like_one() -> None:
    pace, began = Pace(), list[float]()
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
