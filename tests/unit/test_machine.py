"""The drain's state machine under a fake clock."""

import dataclasses

import pytest

from drainmon.drain.demand import Phase
from drainmon.drain.machine import Action, Drain
from drainmon.drain.nginx import Nginx
from drainmon.drain.policy import Policy
from drainmon.drain.reasons import reason
from drainmon.drain.roll import Outcome, Roll
from drainmon.model.standing import Socket
from drainmon.model.tcp import TcpState
from tests.unit.sockets import established, in_state, snapshot, unused
from tests.unit.world import World, arrivals


def test_an_idle_pod_waits_for_min_wait() -> None:
    assert World(min_wait=5).run() == (Phase.DRAINED, 5.0)


def test_an_idle_pod_without_min_wait_is_drained_at_once() -> None:
    assert World(min_wait=0).run() == (Phase.DRAINED, 0.0)


def test_arrivals_before_the_drain_require_quiet() -> None:
    world = World(min_wait=0, quiet=1.5)
    world.drain.arrived(99.5)
    assert world.run() == (Phase.DRAINED, 1.0)


def test_settling_ends_when_arrivals_stop() -> None:
    world = World(min_wait=1, quiet=1.5)
    arrivals(world, 0.5, 1.0, 2.0)
    assert world.run() == (Phase.DRAINED, 3.5)


def test_quiet_is_not_required_after_half_of_the_timeout() -> None:
    world = World(min_wait=1, quiet=1.5, timeout=10)
    arrivals(world, *(number * 0.5 for number in range(1, 10)))
    assert world.drain.phase is Phase.SETTLING
    arrivals(world, 4.9)
    assert world.run() == (Phase.DRAINED, 5.0)


def test_min_wait_is_required_after_half_of_the_timeout() -> None:
    world = World(min_wait=8, timeout=10)
    arrivals(world, 7.9)
    assert world.run() == (Phase.DRAINED, 8.0)


def test_drain_rolls_once_and_waits() -> None:
    world = World(lambda t: (established(50.0),) if t < 7 else (), min_wait=5)
    phase, end = world.run()
    assert phase is Phase.DRAINED
    assert 7 <= end <= 8
    assert world.rolls == [5.0]


def test_no_roll_only_waits() -> None:
    world = World(lambda t: (established(),) if t < 7 else (), min_wait=5, roll=False)
    assert world.run()[0] is Phase.DRAINED
    assert world.rolls == []


def test_nothing_in_flight_is_not_rolled() -> None:
    world = World(lambda _: (in_state(TcpState.TIME_WAIT), unused()), min_wait=5)
    assert world.run() == (Phase.DRAINED, 5.0)
    assert world.rolls == []


def test_drain_waits_for_a_tail() -> None:
    world = World(lambda t: (in_state(TcpState.FIN_WAIT1),) if t < 9 else (), min_wait=1)
    phase, end = world.run()
    assert phase is Phase.DRAINED
    assert end >= 9


def test_a_wake_up_ends_the_drain_at_once() -> None:
    flying = [established()]
    world = World(lambda _: tuple(flying), min_wait=1)
    world.until(3.3)
    flying.clear()
    world.drain.woke(0)
    assert world.run() == (Phase.DRAINED, 3.3)


def test_a_wake_up_without_a_change_does_not_end_the_drain() -> None:
    world = World(lambda t: (established(),) if t < 4 else (), min_wait=1)
    world.until(2.1)
    world.drain.woke(0)
    world.until(2.2)
    assert 2.1 in [round(look, 3) for look in world.looks]
    assert world.drain.phase is Phase.WAITING


def test_a_lost_event_holds_the_drain_for_at_most_a_second() -> None:
    world = World(lambda t: (established(),) if t < 3.001 else (), min_wait=1)
    phase, end = world.run()
    assert phase is Phase.DRAINED
    assert 3.001 <= end <= 4.002


def test_counters_with_unused_connections_cause_a_look() -> None:
    world = World(lambda t: (unused(), *((established(),) if t < 3 else ())), min_wait=1)
    world.until(3.0)
    world.drain.woke(1)  # the counters still show one established connection
    assert world.run() == (Phase.DRAINED, 3.0)


def test_wake_ups_cost_at_most_a_share_of_the_cpu() -> None:
    world = World(lambda _: (established(),) * 3, min_wait=0)
    world.until(1.0)
    world.looks.clear()
    for number in range(1000):
        world.until(1.0 + number / 1000)
        world.drain.saw(snapshot(world.now, *world.sockets(0), took=0.0))
        world.drain.woke(3)
    slow = World(lambda _: (established(),) * 3, min_wait=0)
    slow.until(1.0)
    slow.drain.saw(snapshot(slow.now - 0.03, *slow.sockets(0), took=0.03))
    slow.looks.clear()
    slow.drain.woke(3)
    slow.until(1.59)
    assert slow.looks == []
    slow.until(1.61)
    assert len(slow.looks) == 1


def test_long_looks_are_taken_rarely() -> None:
    drain = Drain(Policy(min_wait=0, timeout=100), 100.0)
    drain.look_interval, drain.longest_pause = 0.075, 10.0
    drain.saw(snapshot(100.0, established(), took=0.3))
    drain.step(100.3)
    drain.rolled(Roll(Outcome.QUIT))
    step = drain.step(100.3)
    assert (step.action, round(step.until, 3)) == (Action.SLEEP, 106.3)


def test_quiet_is_required_after_the_last_arrival() -> None:
    world = World(min_wait=5, quiet=1.5)
    arrivals(world, 4.8)
    assert world.run() == (Phase.DRAINED, 6.3)


def test_drained_requires_a_snapshot_after_the_quiet_period() -> None:
    world = World(min_wait=2, quiet=1.5)
    arrivals(world, 1.9)
    assert world.run() == (Phase.DRAINED, 3.4)
    assert round(world.looks[-1], 3) == 3.4


def test_an_arrival_without_listeners_restarts_the_quiet_period() -> None:
    world = World(min_wait=5, quiet=1.5, timeout=30)
    world.listens, world.nginx = False, Nginx(alive=False)
    arrivals(world, 0.7)
    assert world.run() == (Phase.DRAINED, 2.2)


def test_each_wave_of_stragglers_is_rolled_once() -> None:
    def sockets(elapsed: float) -> tuple[Socket, ...]:
        return (established(106.0),) if 6 <= elapsed < 20 else (established(50.0),)

    world = World(sockets, min_wait=5, quiet=1.5, timeout=30)
    arrivals(world, 6.0)
    world.until(15.0)
    assert world.rolls == [5.0, 7.5]


def test_pauses_between_rolls_double() -> None:
    world = World(lambda t: (established(100.0 + t - 0.001),), min_wait=0, quiet=0, timeout=40)
    world.run()
    pauses = [round(b - a) for a, b in zip(world.rolls, world.rolls[1:], strict=False)]
    assert pauses[:4] == [1, 2, 4, 8]


def test_old_connections_are_not_stragglers() -> None:
    world = World(lambda _: (established(None), established(50.0)), min_wait=1, timeout=20)
    assert world.run() == (Phase.DEADLINE, 20.0)
    assert world.rolls == [1.0]


def test_a_snapshot_in_parts_is_confirmed_by_another() -> None:
    drain = Drain(Policy(min_wait=0), 100.0)
    seen = dataclasses.replace(snapshot(100.0), in_parts=True)
    for action in (Action.LOOK, Action.LOOK, Action.DONE):
        assert drain.step(100.0).action is action
        drain.saw(seen)
    assert drain.phase is Phase.DRAINED


def test_drain_ends_with_exit_at_connections_in_flight() -> None:
    world = World(lambda _: (established(),) * 2, min_wait=1, exit_at=2)
    assert world.run() == (Phase.DRAINED, 1.0)
    assert len(world.drain.in_flight) == 2


def test_the_deadline_keeps_the_remaining_connections() -> None:
    world = World(lambda _: (established(),), timeout=10)
    assert world.run() == (Phase.DEADLINE, 10.0)
    assert len(world.drain.in_flight) == 1


def test_a_deadline_before_min_wait_is_a_deadline() -> None:
    assert World(min_wait=30, timeout=10).run() == (Phase.DEADLINE, 10.0)


def test_looks_continue_during_a_roll() -> None:
    flying = [established()]
    world = World(lambda _: tuple(flying), min_wait=1)
    world.rolls_take_forever = True
    world.until(2.5)
    assert world.drain.phase is Phase.ROLLING
    assert round(world.looks[-1], 3) == 2.0
    flying.clear()
    world.drain.woke(0)
    assert world.run() == (Phase.DRAINED, 2.5)


def test_counters_that_were_wrong_are_ignored_until_they_change() -> None:
    world = World(lambda _: (established(),) * 3, min_wait=0)
    world.until(1.0)
    world.looks.clear()
    slow = snapshot(world.now - 0.03, *world.sockets(0), took=0.03)
    world.drain.woke(0)
    assert world.drain.step(world.now).action is Action.LOOK
    world.drain.saw(slow)
    world.drain.woke(0)
    world.until(1.5)
    assert world.looks == []
    world.drain.woke(3)  # the counters are correct again
    world.drain.woke(0)
    world.until(1.5)
    assert len(world.looks) == 1


def test_time_before_the_request_counts() -> None:
    drain = Drain(Policy(min_wait=5, timeout=10), 94.0)
    drain.step(100.0)
    drain.saw(snapshot(100.0))
    assert drain.step(100.0).action is Action.DONE
    assert drain.phase is Phase.DRAINED


def test_a_timeout_of_zero_is_a_deadline_at_once() -> None:
    drain = Drain(Policy(timeout=0), 100.0)
    assert drain.step(100.0).action is Action.DONE
    assert drain.phase is Phase.DEADLINE


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_has_a_reason(phase: Phase) -> None:
    drain = Drain(Policy(), 0.0)
    drain.phase = phase
    assert reason(drain, drain.demands[0], 1.0)
