"""The results of rolls, and workers that serve UDP."""

import pytest

from drainmon.drain.demand import Phase
from drainmon.drain.nginx import Nginx
from drainmon.drain.reasons import reason
from drainmon.drain.roll import IGNORED, STUCK
from tests.unit.sockets import established
from tests.unit.world import World


def test_a_roll_without_effect_is_not_repeated() -> None:
    world = World(lambda t: (established(50.0 if t < 1.2 else 101.5),), min_wait=1, timeout=60)
    world.roll = IGNORED
    assert world.run() == (Phase.DEADLINE, 60.0)
    assert world.rolls == [1.0]


def test_workers_that_do_not_react_fail_the_drain() -> None:
    world = World(lambda _: (established(),), min_wait=1, timeout=60)
    world.roll = STUCK
    assert world.run() == (Phase.STUCK, 1.0)
    assert reason(world.drain, world.first, world.now) == "nginx's workers do not react"


def test_drain_rolls_and_waits_for_workers_with_udp() -> None:
    world = World(min_wait=1, timeout=60)
    world.nginx = Nginx(udp_workers=2)
    world.until(7.0)
    assert (world.rolls, world.drain.phase) == ([1.0], Phase.WAITING)
    said = "waiting for workers that may still serve UDP clients"
    assert reason(world.drain, world.first, world.now) == said
    world.nginx = Nginx()
    phase, end = world.run()
    assert phase is Phase.DRAINED
    assert 7 <= end <= 8


@pytest.mark.parametrize("roll", [True, False])
def test_drain_does_not_wait_for_udp_workers_without_a_signal(roll: bool) -> None:
    world = World(min_wait=1, timeout=60, roll=roll)
    world.roll = IGNORED
    world.nginx = Nginx(udp_workers=2)
    assert world.run() == (Phase.DRAINED, 1.0)
    assert world.rolls == ([1.0] if roll else [])


def test_a_roll_before_a_restart_is_followed_by_one_for_udp() -> None:
    world = World(timeout=60, elapsed=20, rolls=1, rolled=5, min_wait=1)
    world.nginx = Nginx(udp_workers=2)
    world.until(7.0)
    assert world.rolls == [6.5]
    assert world.drain.udp_workers == 2
    assert world.run()[0] is Phase.DEADLINE
    assert world.drain.udp_workers == 2


def test_drain_waits_for_udp_workers_that_another_program_signalled() -> None:
    world = World(min_wait=1, timeout=60, roll=False)
    world.nginx = Nginx(udp_workers=2, udp_quitting=True)
    assert world.run() == (Phase.DEADLINE, 60.0)
