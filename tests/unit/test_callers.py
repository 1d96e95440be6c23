"""Several callers of one drain, callers that come back, and an nginx that ends meanwhile."""

import pytest

from drainmon.drain.demand import Phase
from drainmon.drain.machine import Drain
from drainmon.drain.nginx import Nginx
from drainmon.drain.policy import Policy
from drainmon.drain.reasons import reason
from drainmon.drain.report import progress
from drainmon.drain.roll import Outcome, Roll
from tests.unit.sockets import established, snapshot
from tests.unit.world import World, arrivals

ENDED = Nginx(alive=False, lost=True)


def test_no_caller_may_go_while_another_lets_the_pod_serve() -> None:
    world = World(min_wait=1)
    world.until(0.5)
    second = world.join(min_wait=5)
    world.until(5.4)
    assert (world.first.told, second.told) == (None, None)
    assert world.run() == (Phase.DRAINED, 5.5)
    assert world.first.told is second.told is Phase.DRAINED


def test_the_longest_quiet_is_asked_for() -> None:
    world = World(min_wait=2, quiet=0.5)
    world.join(min_wait=0, quiet=4)
    arrivals(world, 1.0)
    assert world.run() == (Phase.DRAINED, 5.0)


def test_each_caller_has_its_own_deadline() -> None:
    world = World(lambda t: (established(),) if t < 9 else (), timeout=3, min_wait=1)
    patient = world.join(timeout=20, min_wait=1)
    world.until(3.0)
    assert world.first.told is Phase.DEADLINE
    assert patient.told is None
    assert world.drain.phase is Phase.WAITING
    phase, _ = world.run()
    assert phase is patient.told is Phase.DRAINED


def test_each_caller_has_its_own_exit_at() -> None:
    world = World(lambda t: (established(),) * (3 if t < 9 else 0), min_wait=1, exit_at=3)
    strict = world.join(min_wait=1)
    world.until(2.0)
    assert world.first.told is Phase.DRAINED
    assert reason(world.drain, world.first, 102.0) == "few enough in flight"
    assert strict.told is None
    phase, end = world.run()
    assert phase is strict.told is Phase.DRAINED
    assert 9 <= end <= 10


def test_nothing_is_rolled_for_a_caller_who_has_few_enough() -> None:
    world = World(lambda _: (established(),), min_wait=1, timeout=5, exit_at=1)
    world.join(min_wait=1, timeout=5, roll=False)
    world.run()
    assert world.rolls == []


def test_it_rolls_for_the_one_caller_who_wants_it() -> None:
    world = World(lambda _: (established(),), min_wait=1, timeout=5, roll=False)
    world.join(min_wait=1, timeout=5)
    world.run()
    assert world.rolls == [1.0]


def test_what_a_caller_wanted_leaves_with_it() -> None:
    world = World(min_wait=1)
    strict = world.join(min_wait=20, quiet=10)
    world.until(3.0)
    world.drain.leave(strict)
    assert world.run() == (Phase.DRAINED, 3.0)
    assert strict.told is None


def test_a_caller_at_its_deadline_is_judged_by_its_own_options() -> None:
    world = World(min_wait=1, timeout=4)
    strict = world.join(min_wait=20)
    world.until(5.0)
    assert world.first.told is Phase.DRAINED  # nothing would have kept it alone
    assert strict.told is None


def test_who_joins_late_waits_from_then_on() -> None:
    world = World(lambda t: (established(),) if t < 4 else (), min_wait=1)
    world.until(3.0)
    late = world.join(min_wait=5)
    assert world.run() == (Phase.DRAINED, 8.0)
    assert late.told is Phase.DRAINED


def test_who_is_told_by_others_that_its_time_is_over() -> None:
    world = World(lambda _: (established(),), timeout=10)
    second = world.join(timeout=20)
    world.until(1.0)
    world.drain.expire(world.first)
    world.drain.expire(world.first)
    assert (world.first.told, world.drain.demands) == (Phase.DEADLINE, [second])


def test_a_joined_drain_tells_each_its_own_time() -> None:
    world = World(timeout=10)
    world.until(2.0)
    late = world.join(timeout=20)
    assert progress(world.drain, world.first, world.now)["elapsed"] == 2.0
    assert progress(world.drain, late, world.now)["elapsed"] == 0.0


def resumed(rolls: int = 1, opened: float | None = None) -> World:
    """A daemon that has just started is asked by a caller who has waited for 8 s, and in whose
    time nginx was rolled at 5 s; one connection stays."""
    world = World(lambda _: (established(opened),), timeout=100)
    policy = Policy(timeout=100, elapsed=8, rolls=rolls, rolled=5)
    world.drain = Drain(policy, world.now - 8)
    return world


def test_min_wait_is_not_served_twice() -> None:
    world = World()
    world.drain = Drain(Policy(elapsed=7), world.now - 7)
    assert world.run() == (Phase.DRAINED, 0.0)


def test_what_was_rolled_before_the_daemon_began_is_rolled_once_more_in_time() -> None:
    # Nobody knows which connections have come since that roll.
    world = resumed()
    world.until(50.0)
    assert world.rolls == [0.0]
    world = resumed(rolls=3)  # so many that the next one is due 6 s after the last
    world.until(50.0)
    assert world.rolls == [3.0]


def test_a_daemon_that_restarts_all_the_time_does_not_roll_all_the_time() -> None:
    rolled, rolls = 5.0, 1
    began: list[float] = []
    for restart in range(6, 90, 2):
        drain = Drain(Policy(timeout=100, elapsed=restart, rolls=rolls, rolled=rolled), 0.0)
        drain.saw(snapshot(float(restart), established()))
        if drain.step(float(restart)).action.name == "ROLL":
            drain.rolled(Roll(Outcome.QUIT))
            line = progress(drain, drain.demands[0], float(restart))
            rolls, rolled = line["rolls"], line["rolled"]
            began.append(rolled)
    assert began == [8.0, 12.0, 18.0, 30.0, 54.0]


def test_a_second_caller_may_know_of_rolls_that_the_first_does_not() -> None:
    world = World(lambda _: (established(),), timeout=60, min_wait=0)
    world.drain = Drain(Policy(timeout=60, elapsed=8), world.now - 8)
    world.drain.join(Policy(timeout=60, elapsed=9, rolls=4, rolled=8.5), world.now - 9)
    world.until(20.0)
    assert world.rolls == [11.5]


@pytest.mark.parametrize("rolls", [1, 10**6])
def test_any_number_of_rolls_may_be_told(rolls: int) -> None:
    world = resumed(rolls)
    assert world.run() == (Phase.DEADLINE, 92.0)


def test_min_wait_ends_when_nothing_listens() -> None:
    world = World(min_wait=20, quiet=1.5, timeout=30)
    world.until(3.0)
    world.listens, world.nginx = False, ENDED
    phase, end = world.run()
    assert phase is Phase.GONE
    assert 4.5 <= end <= 5.5
    assert reason(world.drain, world.first, world.now) == "nginx has ended"


def test_min_wait_is_served_by_an_nginx_without_a_listener() -> None:
    world = World(min_wait=7, quiet=1.5, timeout=30)
    world.listens = False
    assert world.run() == (Phase.DRAINED, 7.0)


def test_what_cannot_be_counted_is_said() -> None:
    world = World(min_wait=1, quiet=0)
    world.listens, world.nginx = False, Nginx(uncounted=("unix /run/web.sock", "udp 53"))
    assert world.run() == (Phase.DRAINED, 1.0)
    said = reason(world.drain, world.first, world.now)
    assert said == "nothing in flight over TCP; cannot count unix /run/web.sock, udp 53"


def test_a_listener_elsewhere_lets_nginx_be_rolled() -> None:
    world = World(lambda _: (established(),), min_wait=1, timeout=5)
    world.listens, world.nginx = False, Nginx(abroad=True)
    assert world.run() == (Phase.DEADLINE, 5.0)
    assert world.rolls == [1.0]


def test_connections_that_ended_with_their_process_make_no_drain() -> None:
    world = World(lambda t: (established(),) if t < 3 else (), min_wait=1)
    world.until(2.5)
    world.listens, world.nginx = False, ENDED._replace(cut=1)
    phase, _ = world.run()
    assert phase is Phase.CUT


def test_the_longest_patience_counts() -> None:
    gone = established()._replace(unsent=1000, retransmits=6, rto=12.8, idle_ack=30.0)
    world = World(lambda _: (gone,), min_wait=1, timeout=20, unreachable_after=10)
    patient = world.join(min_wait=1, timeout=5, unreachable_after=0)
    assert world.run() == (Phase.DRAINED, 5.0)
    assert patient.told is Phase.DEADLINE


def test_a_listener_that_returns_is_served() -> None:
    world = World(min_wait=20, quiet=3, timeout=30)
    world.until(3.0)
    world.listens, world.nginx = False, ENDED
    world.until(5.0)
    assert reason(world.drain, world.first, world.now).startswith("nothing listens any more")
    world.listens, world.nginx = True, Nginx()
    assert world.run() == (Phase.DRAINED, 20.0)


def test_an_nginx_that_quits_already_is_not_rolled() -> None:
    world = World(lambda t: (established(),) if t < 9 else (), min_wait=1)
    world.listens = False
    phase, end = world.run()
    assert phase is Phase.DRAINED
    assert 9 <= end <= 10
    assert world.rolls == []


def test_the_tail_of_an_nginx_that_has_ended_is_waited_for() -> None:
    world = World(lambda _: (established(),), timeout=10)
    world.listens, world.nginx = False, ENDED
    assert world.run() == (Phase.DEADLINE, 10.0)
