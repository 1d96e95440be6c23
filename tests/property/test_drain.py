"""Drains of any number of clients, with any events: every result that a client gets is true."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from drainmon.drain.demand import Demand, Phase
from drainmon.drain.machine import Action, Drain
from drainmon.drain.nginx import Nginx
from drainmon.drain.policy import Policy
from drainmon.drain.roll import Outcome, Roll
from drainmon.model.snapshot import Snapshot
from tests.unit.sockets import LISTENER, established

POLICIES = st.builds(
    Policy,
    timeout=st.floats(0, 40),
    min_wait=st.floats(0, 20),
    quiet=st.floats(0, 5),
    exit_at=st.integers(0, 3),
    roll=st.booleans(),
    elapsed=st.floats(0, 20),
    rolls=st.integers(0, 5),
    rolled=st.floats(0, 20),
)


@dataclass(frozen=True)
class Moment:
    """Events of a moment: time passes, connections last or arrive, a client comes or goes."""

    pause: float
    in_flight: int
    arrives: bool
    wakes: bool
    listens: bool
    lives: bool
    in_parts: bool
    joins: Policy | None
    leaves: bool


MOMENTS = st.lists(
    st.builds(
        Moment,
        pause=st.floats(0.001, 3),
        in_flight=st.integers(0, 4),
        arrives=st.booleans(),
        wakes=st.booleans(),
        listens=st.sampled_from([True, True, True, False]),
        lives=st.sampled_from([True, False]),
        in_parts=st.booleans(),
        joins=st.none() | st.none() | st.none() | st.none() | POLICIES,
        leaves=st.integers(0, 15).map(lambda n: n == 15),
    ),
    max_size=60,
)


class Played:
    """A drain through the moments, checked at each step."""

    def __init__(self, policy: Policy) -> None:
        self.now = 1000.0
        self.drain = Drain(policy, self.now - policy.elapsed)
        self.everybody: list[Demand] = [*self.drain.demands]
        self.last_arrival = 0.0
        self.seen, self.looked = 0, 0.0
        self.rolls: list[float] = []

    def play(self, moment: Moment) -> None:
        self.now += moment.pause
        if moment.joins:
            started = self.now - moment.joins.elapsed
            self.everybody.append(self.drain.join(moment.joins, started))
        if moment.arrives:
            self.last_arrival = self.now
            self.drain.arrived(self.now)
        if moment.wakes:
            self.drain.woke(moment.in_flight)
        if moment.leaves and self.drain.demands:
            self.everybody.remove(self.drain.demands[0])
            self.drain.leave(self.drain.demands[0])
        for _ in range(20):
            waiting = [*self.drain.demands]
            action = self.drain.step(self.now).action
            self._check(waiting, moment)
            if action is Action.LOOK:
                self.seen, self.looked = moment.in_flight, self.now
                listeners = (LISTENER,) if moment.listens else ()
                sockets = tuple(established(self.now - 1) for _ in range(moment.in_flight))
                self.drain.saw(
                    Snapshot(self.now, self.now, sockets, listeners, in_parts=moment.in_parts),
                    Nginx(alive=moment.lives),
                )
            elif action is Action.ROLL:
                self.rolls.append(self.now)
                self.drain.rolled(Roll(Outcome.QUIT))
            else:
                break
        else:
            raise AssertionError("it never sleeps")

    def _check(self, waiting: list[Demand], moment: Moment) -> None:
        for demand in waiting:
            if demand.result is Phase.DEADLINE:
                assert self.now >= demand.deadline
            elif demand.result:
                assert self.seen <= demand.policy.exit_at
                quiet = self.looked >= self.last_arrival + demand.policy.quiet
                late = self.looked >= demand.started + demand.policy.timeout / 2
                assert quiet or late
                serving = waiting if self.now < demand.deadline else [demand]
                settled = max(other.min_wait_until for other in serving)
                assert self.looked >= settled or not (moment.listens or moment.lives)
            else:
                assert self.now < demand.deadline


@given(POLICIES, MOMENTS)
def test_every_client_gets_a_true_result_in_time(policy: Policy, moments: list[Moment]) -> None:
    played = Played(policy)
    for moment in moments:
        if not played.drain.demands:
            break
        played.play(moment)
        assert played.drain.demands == [d for d in played.everybody if not d.result]
    pauses = [
        later - earlier for earlier, later in zip(played.rolls, played.rolls[1:], strict=False)
    ]
    assert all(pause >= 1.0 for pause in pauses)
    if not played.drain.demands:
        assert played.drain.step(played.now + 100).action is Action.DONE
