"""The drain as a state machine: settling -> rolling -> waiting -> drained, or another end.

It does nothing itself. `step` says what to do next, `saw`, `arrived` and `rolled` tell it what
came of it. Times are monotonic seconds, given by the caller.

1. Settle: serve on, at least for min_wait, and until no connection has arrived for `quiet`. From
   half of the timeout on `quiet` is no longer asked for: clients that never stop (health checks)
   must not turn every drain into a deadline. When nothing listens any more and nginx has ended
   there is nothing to serve, and only `quiet` is asked for.
2. Roll: have nginx replace its workers. The old ones close idle connections and finish the rest,
   the new ones serve stragglers, the listener never closes. A roll that could not be, or did
   nothing, is not tried again.
3. Wait until nothing is in flight. If stragglers came, roll again, each time twice as late.

UDP has no connections to count. Where nginx serves it (HTTP/3) it is rolled in any case, and each
old worker that lives is waited for.

It is `gone` when nginx has ended by then, and `cut` when connections in use ended with nginx's
processes: somebody else stopped it too early. It is `stuck`, and ends at once, when nginx's workers
do not react: waiting would only delay the restart that mends it.

Several callers may want the same pod drained. While one of them still lets the pod serve, no other
is told that it may go: the pod has settled when it has for each of them. After that each is judged
by its own exit_at, and at its own deadline by its own options alone.

Events only wake it: what ends a drain as drained is a snapshot that began after the last condition
on time was met, and shows nothing in flight.
"""

from enum import Enum, auto
from functools import reduce
from math import inf
from operator import and_
from typing import NamedTuple

from drainmon.drain.demand import Demand, Phase
from drainmon.drain.nginx import ALIVE, Nginx
from drainmon.drain.policy import Policy
from drainmon.drain.roll import Roll
from drainmon.drain.rolls import Pace, Rolls
from drainmon.model.snapshot import InFlight, Rules, Snapshot, Tally

LOOK_AGAIN = 0.02
"""Seconds to a second look after a wake-up: the event comes just before the state changes."""

LOOK_SHARE = 20
"""A wake-up is followed by a snapshot no sooner than this many times what the last one took,
unless the counters say that it may be the last."""


class Action(Enum):
    LOOK = auto()
    """Take a snapshot, then call `arrived` and `saw`."""
    ROLL = auto()
    """Have nginx replace its workers, meanwhile go on and call `rolling`, then `rolled`."""
    SLEEP = auto()
    """Nothing, until `Step.until` or a wake-up."""
    DONE = auto()
    """It has ended: the phase says how."""


class Step(NamedTuple):
    """What to do next; `until` is a monotonic time for SLEEP."""

    action: Action
    until: float = 0.0


class Drain:
    """One drain of one pod, begun at `started` by a first caller; `pace` is of the pod's rolls.
    `demands` are those of the callers who wait. `look_interval`: seconds between snapshots when
    nothing wakes the drain; `longest_pause`: at the most, however long a snapshot takes."""

    look_interval = 1.0
    longest_pause = 1.0

    def __init__(self, policy: Policy, started: float, pace: Pace | None = None) -> None:
        self.started = started
        self.demands: list[Demand] = []
        self.phase = Phase.SETTLING
        self.snapshot: Snapshot | None = None
        self.in_flight = InFlight()
        self.tally = Tally()
        self._harmless = 0
        self.last_arrival: float | None = None
        self.rolls = Rolls(pace or Pace())
        self._at_most = inf
        self.closed: float | None = None
        """Since when nothing listens; None while something does."""
        self.nginx = ALIVE
        self.ports: frozenset[int] = frozenset()
        """Those that the last snapshot was of."""
        self._woken = self._looks_after_wake = False
        self._promising = self._doubted = False
        self._left = self.join(policy, started)

    @property
    def last_caller(self) -> Demand:
        """Who waits the longest; when nobody does, who left last."""
        return max(self.demands, key=lambda demand: demand.deadline, default=self._left)

    @property
    def rules(self) -> Rules:
        """The strictest of those who wait: what all of them ignore, and the longest patience."""
        own = [demand.policy.rules for demand in self.demands] or [self._left.policy.rules]
        ignored = reduce(and_, (rules.ignored for rules in own))
        return Rules(ignored, max(rules.unreachable_after for rules in own))

    def join(self, policy: Policy, started: float) -> Demand:
        """One more caller, whose time counts from `started`."""
        self.rolls.take_over(policy, started)
        demand = Demand(policy, started)
        self.demands.append(demand)
        return demand

    def leave(self, demand: Demand) -> None:
        """A caller waits no more: what it wanted does not count any longer."""
        if demand in self.demands:
            self.demands.remove(demand)
            self._left = demand

    def expire(self, demand: Demand) -> None:
        """A caller's time is over, whatever there is still to do."""
        self._tell([demand], Phase.DEADLINE)

    def woke(self, in_flight: int) -> None:
        """Something changed on the pod's ports. `in_flight` is what the counters say now, never
        used and ignored connections included: when that is few enough, it is worth looking at
        once, unless they have been wrong about that already."""
        self._woken = True
        few = self._few(in_flight - self._harmless)
        self._doubted = few and self._doubted
        self._promising = few and not self._doubted

    def arrived(self, when: float | None) -> None:
        """The time of the last passive open that the counters know of."""
        if when is not None and (self.last_arrival is None or when > self.last_arrival):
            self.last_arrival = when
            if self.closed is not None:  # something has listened meanwhile
                self.closed = max(self.closed, when)

    def saw(self, snapshot: Snapshot, nginx: Nginx = ALIVE, counted: int | None = None) -> None:
        """A snapshot that `step` asked for, and how nginx was at its end; `counted` is what
        counters have in flight, where the snapshot is by the drain's rules already."""
        before = inf if self.snapshot is None else len(self.in_flight)
        counted = snapshot.tally.counted_in_flight if counted is None else counted
        self.snapshot = snapshot = snapshot.by(self.rules)
        self.in_flight = snapshot.in_flight()
        # From a pass in parts one socket may be missing, from two in a row not the same one.
        self._at_most = len(self.in_flight)
        if snapshot.in_parts:
            self._at_most = max(self._at_most, before)
        self.nginx = nginx
        if snapshot.listeners or nginx.uncounted or nginx.abroad:
            self.closed = None
        elif self.closed is None and not snapshot.in_parts:
            self.closed = snapshot.taken
        self.tally = snapshot.tally
        self._harmless = counted - len(self.in_flight)
        if self._promising and not self._few(len(self.in_flight)):
            self._promising, self._doubted = False, True
        self.arrived(snapshot.last_opened())

    def rolling(self, roll: Roll) -> None:
        """How the roll that `step` asked for goes."""
        self.rolls.goes(roll)

    def rolled(self, roll: Roll) -> None:
        """How it went. Until then the drain goes on looking."""
        self.rolls.goes(roll)
        if self.phase is Phase.ROLLING:
            self.phase = Phase.WAITING

    def step(self, now: float) -> Step:
        """What to do next, by what is known at `now`."""
        for demand in [demand for demand in self.demands if now >= demand.deadline]:
            self._end_at_deadline(demand)
        if not self.demands:
            return Step(Action.DONE)
        if self.snapshot is None or self.look_is_due(now):
            return self._look()
        look_at = self._look_at(now, self.snapshot)
        settled = self._settled_at()
        if self.phase is Phase.SETTLING and now >= settled:
            self.phase = Phase.WAITING
        serving = self.phase is Phase.SETTLING or self._few(len(self.in_flight))
        if now < settled and serving:
            return self._sleep(look_at, settled)
        if self.snapshot.taken >= settled:
            self._tell(
                [d for d in self.demands if self._accepts(d, self._at_most)], self._drained()
            )
        if not self.demands:
            return Step(Action.DONE)
        if self._few(len(self.in_flight)):
            return self._look()
        return self._wait(now, self.snapshot.taken, look_at)

    def _wait(self, now: float, taken: float, look_at: float) -> Step:
        """Too many are in flight: roll if that helps, else sleep."""
        if self.rolls.stuck:
            self._tell([*self.demands], Phase.STUCK)
            return Step(Action.DONE)
        roll_at = self._roll_at()
        if roll_at is not None and now >= roll_at and self.phase is not Phase.ROLLING:
            if taken < roll_at:
                return self._look()
            self.phase = Phase.ROLLING
            self.rolls.begin(now)
            return Step(Action.ROLL)
        if roll_at is None or self.phase is Phase.ROLLING:
            return self._sleep(look_at)
        return self._sleep(look_at, roll_at)

    def _end_at_deadline(self, demand: Demand) -> None:
        settled = demand.settled_at(self.last_arrival, self._ended)
        calm = self.snapshot is not None and self.snapshot.taken >= settled
        drained = calm and self._accepts(demand, self._at_most) and not self._woken
        self._tell([demand], self._drained() if drained else Phase.DEADLINE)

    def _drained(self) -> Phase:
        if self.nginx.cut:
            return Phase.CUT
        return Phase.GONE if self.nginx.lost else Phase.DRAINED

    def _tell(self, demands: list[Demand], end: Phase) -> None:
        """It has ended for these callers; with the last one for all."""
        for demand in demands:
            if demand.told is None:
                demand.told = end
                self.leave(demand)
                if not self.demands:
                    self.phase = end

    def _few(self, in_flight: int) -> bool:
        """Whether one of the callers needs to wait for no more to end."""
        return any(self._accepts(demand, in_flight) for demand in self.demands)

    def _accepts(self, demand: Demand, in_flight: float) -> bool:
        return not self.udp_workers and demand.accepts(in_flight)

    @property
    def udp_workers(self) -> int:
        """The workers that are waited for as they may still serve over UDP. A worker that was not
        signalled to quit, and will not be, does not exit."""
        wanted = any(demand.policy.roll for demand in self.demands or [self._left])
        told = self.nginx.udp_told or (wanted and (not self.rolls.barred or self.rolls.stuck))
        return self.nginx.udp_workers if told else 0

    def _look(self) -> Step:
        # A wake-up from here on is about something that the snapshot may have missed.
        self._looks_after_wake, self._woken = self._woken, False
        return Step(Action.LOOK)

    def look_is_due(self, now: float) -> bool:
        """Whether `step` asks for a look, whatever counters say."""
        return self.snapshot is None or now >= self._look_at(now, self.snapshot)

    def _look_at(self, now: float, last: Snapshot) -> float:
        """When the next snapshot is due."""
        pause = min(LOOK_SHARE * (last.finished - last.taken), self.longest_pause)
        if self.phase is not Phase.SETTLING:
            if self._woken and self._promising and now >= self._settled_at():
                return now
            if self._woken:
                return last.finished + pause
            if self._looks_after_wake:
                return last.finished + max(pause, LOOK_AGAIN)
        return last.finished + max(pause, self.look_interval)

    def _sleep(self, *times: float) -> Step:
        return Step(Action.SLEEP, min(*times, *(demand.deadline for demand in self.demands)))

    @property
    def _ended(self) -> float | None:
        """Since when there is nothing to serve: nothing listens, and no nginx lives."""
        return None if self.nginx.alive else self.closed

    def _settled_at(self) -> float:
        return max(d.settled_at(self.last_arrival, self._ended) for d in self.demands)

    def quiet(self) -> float:
        """The longest quiet period that a caller asks for."""
        return max(demand.policy.quiet for demand in self.demands)

    def _roll_at(self) -> float | None:
        """When the next roll is due, None when there is nothing to roll for: also when nginx has
        closed its listeners, as its old workers quit already and it starts no new ones."""
        wanting = [d for d in self.demands if d.policy.roll]
        enough = all(d.accepts(len(self.in_flight)) for d in wanting)
        first = not self.rolls.began or self.rolls.taken_over
        for_udp = wanting and self.udp_workers and first
        if self.closed is not None or (enough and not for_udp):
            return None
        youngest = self.tally.last_opened_in_flight
        return self.rolls.next_at(self._settled_at(), self.quiet(), youngest)
