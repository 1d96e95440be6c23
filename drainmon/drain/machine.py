"""The drain as a state machine: settling -> rolling -> waiting -> drained, or another end.

The machine does no I/O. `step` returns what to do next; `saw`, `arrived` and `rolled` report the
results. Times are monotonic seconds, passed as arguments.

1. Settle: keep serving for at least min_wait, and until no connection has arrived for `quiet`. In
   the second half of the timeout `quiet` is no longer required: clients that never stop (health
   checks) must not turn every drain into a deadline. When nothing listens any more and nginx has
   ended, there is nothing to serve, and only `quiet` is required.
2. Roll: have nginx replace its workers. The old ones close idle connections and finish the rest,
   the new ones serve stragglers, the listener never closes. A roll that was skipped or failed is
   not tried again.
3. Wait until nothing is in flight. If stragglers came, roll again, each time twice as late.

UDP has no connections to count. An nginx that serves UDP (HTTP/3) is always rolled, and the drain
waits until its old workers have exited.

The result is `gone` when nginx has ended by then, and `cut` when connections in use ended with
nginx's processes: somebody else stopped nginx too early. A drain whose workers do not react to
signals ends at once as `stuck`: waiting would only delay the restart that mends it.

Several clients may drain the same pod. While one of them lets the pod serve, no other is released:
the pod has settled when it has for each of them. After that each is judged by its own exit_at, and
at its own deadline by its own options alone.

Events only wake the drain. A drain ends as drained by a snapshot that began after the last time
condition was met, and shows nothing in flight.
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
from drainmon.drain.rolls import RollPace, Rolls
from drainmon.model.snapshot import InFlight, Rules, Snapshot, Tally

LOOK_AGAIN = 0.02
"""Seconds from a wake-up to a second snapshot: the event comes just before the state changes."""

LOOK_SHARE = 20
"""Least time between two snapshots, in multiples of what the last one took, unless the counters
show that the next may be the last."""


class Action(Enum):
    LOOK = auto()
    """Take a snapshot, then call `arrived` and `saw`."""
    ROLL = auto()
    """Have nginx replace its workers; meanwhile keep stepping and call `rolling`, then `rolled`."""
    SLEEP = auto()
    """Wait until `Step.until` or a wake-up."""
    DONE = auto()
    """The drain has ended; its phase is the result."""


class Step(NamedTuple):
    """The next action; `until` is a monotonic time for SLEEP."""

    action: Action
    until: float = 0.0


class Drain:
    """One drain of one pod, begun at `started` by a first client; `pace` is that of the pod's
    rolls. `demands` are those of waiting clients. `look_interval`: seconds between snapshots when
    nothing wakes the drain; `longest_pause`: at most, however long a snapshot takes."""

    look_interval = 1.0
    longest_pause = 1.0

    def __init__(self, policy: Policy, started: float, pace: RollPace | None = None) -> None:
        self.started = started
        self.demands: list[Demand] = []
        self.phase = Phase.SETTLING
        self.snapshot: Snapshot | None = None
        self.in_flight = InFlight()
        self.tally = Tally()
        self._harmless = 0
        self.last_arrival: float | None = None
        self.rolls = Rolls(pace or RollPace())
        self._at_most = inf
        self.closed: float | None = None
        """When the last listener closed; None while one is open."""
        self.nginx = ALIVE
        self.ports: frozenset[int] = frozenset()
        """The ports of the last snapshot."""
        self._woken = self._looks_after_wake = False
        self._promising = self._doubted = False
        self._left = self.join(policy, started)

    @property
    def last_client(self) -> Demand:
        """The client that waits longest; when none waits, the one that left last."""
        return max(self.demands, key=lambda demand: demand.deadline, default=self._left)

    @property
    def rules(self) -> Rules:
        """The strictest rules of all waiting clients: what all of them ignore, and the longest
        `unreachable_after`."""
        own = [demand.policy.rules for demand in self.demands] or [self._left.policy.rules]
        ignored = reduce(and_, (rules.ignored for rules in own))
        return Rules(ignored, max(rules.unreachable_after for rules in own))

    def join(self, policy: Policy, started: float) -> Demand:
        """Add a client, whose time counts from `started`."""
        self.rolls.take_over(policy, started)
        demand = Demand(policy, started)
        self.demands.append(demand)
        return demand

    def leave(self, demand: Demand) -> None:
        """Remove a client and its demand."""
        if demand in self.demands:
            self.demands.remove(demand)
            self._left = demand

    def expire(self, demand: Demand) -> None:
        """End the drain for a client at its deadline, whatever the phase."""
        self._end([demand], Phase.DEADLINE)

    def woke(self, in_flight: int) -> None:
        """Record a change on the pod's ports. `in_flight` is the counters' value now, unused and
        ignored connections included. When it is low enough to end the drain, the next snapshot is
        due at once, unless the counters have been wrong about that before."""
        self._woken = True
        few = self._few(in_flight - self._harmless)
        self._doubted = few and self._doubted
        self._promising = few and not self._doubted

    def arrived(self, when: float | None) -> None:
        """Record the time of the last passive open, by the counters."""
        if when is not None and (self.last_arrival is None or when > self.last_arrival):
            self.last_arrival = when
            if self.closed is not None:  # something has listened meanwhile
                self.closed = max(self.closed, when)

    def saw(self, snapshot: Snapshot, nginx: Nginx = ALIVE, counted: int | None = None) -> None:
        """Record a snapshot that `step` required, and nginx's state at its end; `counted` is the
        counters' in flight, where the drain's rules have been applied to the snapshot already."""
        before = inf if self.snapshot is None else len(self.in_flight)
        counted = snapshot.tally.counted_in_flight if counted is None else counted
        self.snapshot = snapshot = snapshot.by(self.rules)
        self.in_flight = snapshot.in_flight()
        # A pass in parts may miss a socket; two in a row do not miss the same one.
        self._at_most = len(self.in_flight)
        if snapshot.in_parts:
            self._at_most = max(self._at_most, before)
        self.nginx = nginx
        if snapshot.listeners or nginx.uncounted or nginx.listens_elsewhere:
            self.closed = None
        elif self.closed is None and not snapshot.in_parts:
            self.closed = snapshot.taken
        self.tally = snapshot.tally
        self._harmless = counted - len(self.in_flight)
        if self._promising and not self._few(len(self.in_flight)):
            self._promising, self._doubted = False, True
        self.arrived(snapshot.last_opened())

    def rolling(self, roll: Roll) -> None:
        """Record the progress of the roll that `step` required."""
        self.rolls.goes(roll)

    def rolled(self, roll: Roll) -> None:
        """Record the end of the roll."""
        self.rolls.goes(roll)
        if self.phase is Phase.ROLLING:
            self.phase = Phase.WAITING

    def step(self, now: float) -> Step:
        """The next action at `now`."""
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
            self._end([d for d in self.demands if self._accepts(d, self._at_most)], self._drained())
        if not self.demands:
            return Step(Action.DONE)
        if self._few(len(self.in_flight)):
            return self._look()
        return self._wait(now, self.snapshot.taken, look_at)

    def _wait(self, now: float, taken: float, look_at: float) -> Step:
        """The next action when too many are in flight: roll if that helps, else sleep."""
        if self.rolls.stuck:
            self._end([*self.demands], Phase.STUCK)
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
        self._end([demand], self._drained() if drained else Phase.DEADLINE)

    def _drained(self) -> Phase:
        if self.nginx.cut:
            return Phase.CUT
        return Phase.GONE if self.nginx.lost else Phase.DRAINED

    def _end(self, demands: list[Demand], end: Phase) -> None:
        """End the drain for these clients; the last one ends it altogether."""
        for demand in demands:
            if demand.result is None:
                demand.result = end
                self.leave(demand)
                if not self.demands:
                    self.phase = end

    def _few(self, in_flight: int) -> bool:
        """Whether at least one client is drained with this number in flight."""
        return any(self._accepts(demand, in_flight) for demand in self.demands)

    def _accepts(self, demand: Demand, in_flight: float) -> bool:
        return not self.udp_workers and demand.accepts(in_flight)

    @property
    def udp_workers(self) -> int:
        """The number of workers that may still serve UDP clients and will exit: those that were
        signalled to quit, or will be."""
        wanted = any(demand.policy.roll for demand in self.demands or [self._left])
        quits = self.nginx.udp_quitting or (wanted and (not self.rolls.barred or self.rolls.stuck))
        return self.nginx.udp_workers if quits else 0

    def _look(self) -> Step:
        # The snapshot may miss a change that wakes the drain from here on.
        self._looks_after_wake, self._woken = self._woken, False
        return Step(Action.LOOK)

    def look_is_due(self, now: float) -> bool:
        """Whether `step` requires a snapshot, whatever the counters are."""
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
        """Since when there is nothing to serve: nothing listens, and nginx has ended."""
        return None if self.nginx.alive else self.closed

    def _settled_at(self) -> float:
        return max(d.settled_at(self.last_arrival, self._ended) for d in self.demands)

    def quiet(self) -> float:
        """The longest quiet period that a client requires."""
        return max(demand.policy.quiet for demand in self.demands)

    def _roll_at(self) -> float | None:
        """When the next roll is due, None when a roll would not help: nothing is in flight, or
        nginx has closed its listeners, so that its workers quit already and it starts no new
        ones."""
        wanting = [d for d in self.demands if d.policy.roll]
        enough = all(d.accepts(len(self.in_flight)) for d in wanting)
        first = not self.rolls.began or self.rolls.taken_over
        for_udp = wanting and self.udp_workers and first
        if self.closed is not None or (enough and not for_udp):
            return None
        youngest = self.tally.last_opened_in_flight
        return self.rolls.next_at(self._settled_at(), self.quiet(), youngest)
