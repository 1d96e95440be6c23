"""Several clients of one drain, clients that come back, and an nginx that ends meanwhile."""

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


def test_the_longest_min_wait_of_all_clients_counts() -> None:
    world = World(min_wait=1)
    world.until(0.5)
    second = world.join(min_wait=5)
    world.until(5.4)
    assert (world.first.result, second.result) == (None, None)
    assert world.run() == (Phase.DRAINED, 5.5)
    assert world.first.result is second.result is Phase.DRAINED


def test_the_longest_quiet_period_of_all_clients_counts() -> None:
    world = World(min_wait=2, quiet=0.5)
    world.join(min_wait=0, quiet=4)
    arrivals(world, 1.0)
    assert world.run() == (Phase.DRAINED, 5.0)


def test_each_client_has_its_own_deadline() -> None:
    world = World(lambda t: (established(),) if t < 9 else (), timeout=3, min_wait=1)
    patient = world.join(timeout=20, min_wait=1)
    world.until(3.0)
    assert world.first.result is Phase.DEADLINE
    assert patient.result is None
    assert world.drain.phase is Phase.WAITING
    phase, _ = world.run()
    assert phase is patient.result is Phase.DRAINED


def test_each_client_has_its_own_exit_at() -> None:
    world = World(lambda t: (established(),) * (3 if t < 9 else 0), min_wait=1, exit_at=3)
    strict = world.join(min_wait=1)
    world.until(2.0)
    assert world.first.result is Phase.DRAINED
    assert reason(world.drain, world.first, 102.0) == "at most exit-at connections are in flight"
    assert strict.result is None
    phase, end = world.run()
    assert phase is strict.result is Phase.DRAINED
    assert 9 <= end <= 10


def test_no_roll_for_a_client_that_is_drained_by_exit_at() -> None:
    world = World(lambda _: (established(),), min_wait=1, timeout=5, exit_at=1)
    world.join(min_wait=1, timeout=5, roll=False)
    world.run()
    assert world.rolls == []


def test_one_client_is_enough_for_a_roll() -> None:
    world = World(lambda _: (established(),), min_wait=1, timeout=5, roll=False)
    world.join(min_wait=1, timeout=5)
    world.run()
    assert world.rolls == [1.0]


def test_options_of_a_client_end_with_its_connection() -> None:
    world = World(min_wait=1)
    strict = world.join(min_wait=20, quiet=10)
    world.until(3.0)
    world.drain.leave(strict)
    assert world.run() == (Phase.DRAINED, 3.0)
    assert strict.result is None


def test_a_client_at_its_deadline_is_judged_by_its_own_options() -> None:
    world = World(min_wait=1, timeout=4)
    strict = world.join(min_wait=20)
    world.until(5.0)
    assert world.first.result is Phase.DRAINED  # its own options were met
    assert strict.result is None


def test_min_wait_of_a_late_client_counts_from_its_request() -> None:
    world = World(lambda t: (established(),) if t < 4 else (), min_wait=1)
    world.until(3.0)
    late = world.join(min_wait=5)
    assert world.run() == (Phase.DRAINED, 8.0)
    assert late.result is Phase.DRAINED


def test_a_client_can_be_expired_from_outside() -> None:
    world = World(lambda _: (established(),), timeout=10)
    second = world.join(timeout=20)
    world.until(1.0)
    world.drain.expire(world.first)
    world.drain.expire(world.first)
    assert (world.first.result, world.drain.demands) == (Phase.DEADLINE, [second])


def test_each_client_of_a_drain_gets_its_own_elapsed_time() -> None:
    world = World(timeout=10)
    world.until(2.0)
    late = world.join(timeout=20)
    assert progress(world.drain, world.first, world.now)["elapsed"] == 2.0
    assert progress(world.drain, late, world.now)["elapsed"] == 0.0


def resumed(rolls: int = 1, opened: float | None = None) -> World:
    """A new daemon's drain for a client that has waited for 8 s, and whose nginx was rolled at 5 s;
    one connection stays."""
    world = World(lambda _: (established(opened),), timeout=100)
    policy = Policy(timeout=100, elapsed=8, rolls=rolls, rolled=5)
    world.drain = Drain(policy, world.now - 8)
    return world


def test_min_wait_is_not_repeated_after_a_restart() -> None:
    world = World()
    world.drain = Drain(Policy(elapsed=7), world.now - 7)
    assert world.run() == (Phase.DRAINED, 0.0)


def test_a_new_daemon_rolls_once_more_when_due() -> None:
    # Arrivals since that roll are unknown.
    world = resumed()
    world.until(50.0)
    assert world.rolls == [0.0]
    world = resumed(rolls=3)  # so the next one is due 6 s after the last
    world.until(50.0)
    assert world.rolls == [3.0]


def test_repeated_restarts_do_not_repeat_rolls_without_pauses() -> None:
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


def test_rolls_that_only_one_client_knows_of_count() -> None:
    world = World(lambda _: (established(),), timeout=60, min_wait=0)
    world.drain = Drain(Policy(timeout=60, elapsed=8), world.now - 8)
    world.drain.join(Policy(timeout=60, elapsed=9, rolls=4, rolled=8.5), world.now - 9)
    world.until(20.0)
    assert world.rolls == [11.5]


@pytest.mark.parametrize("rolls", [1, 10**6])
def test_extreme_numbers_of_rolls_do_not_overflow(rolls: int) -> None:
    world = resumed(rolls)
    assert world.run() == (Phase.DEADLINE, 92.0)


def test_min_wait_is_not_required_after_nginx_has_ended() -> None:
    world = World(min_wait=20, quiet=1.5, timeout=30)
    world.until(3.0)
    world.listens, world.nginx = False, ENDED
    phase, end = world.run()
    assert phase is Phase.GONE
    assert 4.5 <= end <= 5.5
    assert reason(world.drain, world.first, world.now) == "nginx has ended"


def test_min_wait_is_required_while_nginx_lives() -> None:
    world = World(min_wait=7, quiet=1.5, timeout=30)
    world.listens = False
    assert world.run() == (Phase.DRAINED, 7.0)


def test_uncounted_listeners_are_reported() -> None:
    world = World(min_wait=1, quiet=0)
    world.listens, world.nginx = False, Nginx(uncounted=("unix /run/web.sock", "udp 53"))
    assert world.run() == (Phase.DRAINED, 1.0)
    said = reason(world.drain, world.first, world.now)
    assert said == "nothing in flight over TCP; cannot count unix /run/web.sock, udp 53"


def test_nginx_with_a_listener_elsewhere_is_rolled() -> None:
    world = World(lambda _: (established(),), min_wait=1, timeout=5)
    world.listens, world.nginx = False, Nginx(listens_elsewhere=True)
    assert world.run() == (Phase.DEADLINE, 5.0)
    assert world.rolls == [1.0]


def test_connections_that_end_with_their_process_are_cut() -> None:
    world = World(lambda t: (established(),) if t < 3 else (), min_wait=1)
    world.until(2.5)
    world.listens, world.nginx = False, ENDED._replace(cut=1)
    phase, _ = world.run()
    assert phase is Phase.CUT


def test_the_longest_unreachable_after_of_all_clients_counts() -> None:
    gone = established()._replace(unsent=1000, retransmits=6, rto=12.8, idle_ack=30.0)
    world = World(lambda _: (gone,), min_wait=1, timeout=20, unreachable_after=10)
    patient = world.join(min_wait=1, timeout=5, unreachable_after=0)
    assert world.run() == (Phase.DRAINED, 5.0)
    assert patient.result is Phase.DEADLINE


def test_min_wait_is_required_again_when_a_listener_returns() -> None:
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


def test_drain_waits_for_the_tail_of_an_nginx_that_has_ended() -> None:
    world = World(lambda _: (established(),), timeout=10)
    world.listens, world.nginx = False, ENDED
    assert world.run() == (Phase.DEADLINE, 10.0)
