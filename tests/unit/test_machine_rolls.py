"""What a drain makes of its rolls, and of workers that serve UDP."""

import pytest

from drainmon.drain.demand import Phase
from drainmon.drain.nginx import Nginx
from drainmon.drain.reasons import reason
from drainmon.drain.roll import IGNORED, STUCK
from tests.unit.sockets import established
from tests.unit.world import World


def test_a_roll_that_did_nothing_is_not_tried_again() -> None:
    world = World(lambda t: (established(50.0 if t < 1.2 else 101.5),), min_wait=1, timeout=60)
    world.roll = IGNORED
    assert world.run() == (Phase.DEADLINE, 60.0)
    assert world.rolls == [1.0]


def test_workers_that_do_not_react_end_it() -> None:
    world = World(lambda _: (established(),), min_wait=1, timeout=60)
    world.roll = STUCK
    assert world.run() == (Phase.STUCK, 1.0)
    assert reason(world.drain, world.first, world.now) == "nginx's workers do not react"


def test_nginx_that_serves_udp_is_rolled_and_its_old_workers_waited_for() -> None:
    world = World(min_wait=1, timeout=60)
    world.nginx = Nginx(udp_workers=2)
    world.until(7.0)
    assert (world.rolls, world.drain.phase) == ([1.0], Phase.WAITING)
    said = "2 of nginx's old workers may still serve over UDP"
    assert reason(world.drain, world.first, world.now) == said
    world.nginx = Nginx()
    phase, end = world.run()
    assert phase is Phase.DRAINED
    assert 7 <= end <= 8


@pytest.mark.parametrize("roll", [True, False])
def test_udp_workers_that_nobody_tells_are_not_waited_for(roll: bool) -> None:
    world = World(min_wait=1, timeout=60, roll=roll)
    world.roll = IGNORED
    world.nginx = Nginx(udp_workers=2)
    assert world.run() == (Phase.DRAINED, 1.0)
    assert world.rolls == ([1.0] if roll else [])


def test_a_roll_taken_over_is_followed_by_one_for_udp() -> None:
    world = World(timeout=60, elapsed=20, rolls=1, rolled=5, min_wait=1)
    world.nginx = Nginx(udp_workers=2)
    world.until(7.0)
    assert world.rolls == [6.5]
    assert world.drain.udp_workers == 2
    assert world.run()[0] is Phase.DEADLINE
    assert world.drain.udp_workers == 2


def test_udp_workers_that_somebody_else_has_told_are() -> None:
    world = World(min_wait=1, timeout=60, roll=False)
    world.nginx = Nginx(udp_workers=2, udp_told=True)
    assert world.run() == (Phase.DEADLINE, 60.0)
