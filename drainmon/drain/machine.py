"""The drain as a state machine: settling -> rolling -> waiting -> drained | deadline.

It does nothing itself. `step` says what to do next, `saw`, `arrived` and `rolled` tell it what
came of it. Times are monotonic seconds, given by the caller.

Several callers may want the same pod drained: the strictest of their options hold, until the last
of their deadlines.

1. Settle: serve on, at least for min_wait, and until no connection has arrived for `quiet`. From
   half of the timeout on `quiet` is no longer asked for: clients that never stop (health checks)
   must not turn every drain into a deadline.
2. Roll: have nginx replace its workers. The old ones close idle connections and finish the rest,
   the new ones serve stragglers, the listener never closes.
3. Wait until nothing is in flight. If stragglers came, roll again, each time twice as late.

Events only wake it: what ends a drain as drained is a snapshot that began after the last condition
on time was met, and shows nothing in flight.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from drainmon.drain.policy import Policy
from drainmon.model.snapshot import InFlight, Snapshot, Tally

LOOK_AGAIN = 0.02
"""Seconds to a second look after a wake-up: the event comes just before the state changes."""

LOOK_SHARE = 20
"""A wake-up is followed by a snapshot no sooner than this many times what the last one took,
unless the counters say that it may be the last."""

ROLL_PAUSE = 1.0
"""Seconds between the first roll and a second one at the least."""


class Phase(StrEnum):
    SETTLING = "settling"
    ROLLING = "rolling"
    WAITING = "waiting"
    DRAINED = "drained"
    DEADLINE = "deadline"


ENDED = frozenset({Phase.DRAINED, Phase.DEADLINE})


class Action(Enum):
    LOOK = auto()
    """Take a snapshot, then call `arrived` and `saw`."""
    ROLL = auto()
    """Have nginx replace its workers, meanwhile go on, then call `rolled`."""
    SLEEP = auto()
    """Nothing, until `Step.until` or a wake-up."""
    DONE = auto()
    """It has ended: the phase says how."""


@dataclass(frozen=True)
class Step:
    """What to do next; `until` is a monotonic time for SLEEP."""

    action: Action
    until: float = 0.0


class Drain:
    """One drain of one pod, begun at `started`. `look_interval`: seconds between snapshots when
    nothing wakes the drain; `longest_pause`: at the most, however long a snapshot takes."""

    look_interval = 1.0
    longest_pause = 1.0

    def __init__(self, policy: Policy, started: float) -> None:
        self.policy = policy
        self.started = started
        self.phase = Phase.SETTLING
        self.snapshot: Snapshot | None = None
        self.in_flight = InFlight()
        self.tally = Tally()
        self._harmless = 0
        self.last_arrival: float | None = None
        self.rolls: list[float] = []
        self._note = ""
        self._woken = False
        self._looks_after_wake = False
        self._promising = False
        self._doubted = False
        self._seen_few = False

    @property
    def deadline(self) -> float:
        return self.started + self.policy.timeout

    def join(self, policy: Policy, started: float) -> None:
        """Another caller, whose drain began at `started`, wants this one to satisfy it, too."""
        later, mine = started - self.started, self.policy
        self.policy = Policy(
            timeout=max(mine.timeout, policy.timeout + later),
            min_wait=max(mine.min_wait, policy.min_wait + later),
            quiet=max(mine.quiet, policy.quiet),
            exit_at=min(mine.exit_at, policy.exit_at),
            roll=mine.roll or policy.roll,
            ignored=mine.ignored & policy.ignored,
        )

    def woke(self, in_flight: int) -> None:
        """Something changed on the pod's ports. `in_flight` is what the counters say now, never
        used and ignored connections included: when that is few enough, it is worth looking at
        once, unless they have been wrong about that already."""
        self._woken = True
        few = in_flight - self._harmless <= self.policy.exit_at
        self._doubted = few and self._doubted
        self._promising = few and not self._doubted

    def arrived(self, when: float | None) -> None:
        """The time of the last passive open that the counters know of."""
        if when is not None and (self.last_arrival is None or when > self.last_arrival):
            self.last_arrival = when

    def saw(self, snapshot: Snapshot) -> None:
        """A snapshot that `step` asked for."""
        # From a pass in parts one socket may be missing, from two in a row not the same one.
        few_before = self.snapshot is not None and self._few()
        counted = snapshot.tally.counted_in_flight
        self.snapshot = snapshot = snapshot.without(self.policy.ignored)
        self.in_flight = snapshot.in_flight()
        self._seen_few = self._few() and (few_before or not snapshot.in_parts)
        self.tally = snapshot.tally
        self._harmless = counted - len(self.in_flight)
        if self._promising and not self._few():
            self._promising, self._doubted = False, True
        self.arrived(snapshot.last_opened())

    def rolled(self, began: float, note: str) -> None:
        """The roll that `step` asked for was tried, beginning at `began`; `note` says how it
        went. Until then the drain goes on looking."""
        self.rolls.append(began)
        self._note = note
        if self.phase is Phase.ROLLING:
            self.phase = Phase.WAITING

    def reason(self, now: float) -> str:
        """Why it still waits, or how it ended, for people."""
        match self.phase:
            case Phase.SETTLING:
                return self._why_settling(now)
            case Phase.ROLLING:
                return "nginx replaces its workers"
            case Phase.WAITING if len(self.in_flight) <= self.policy.exit_at:
                return f"quiet for {self.policy.quiet:g} s is asked for"
            case Phase.WAITING:
                return self._note or "connections are in flight"
            case Phase.DRAINED:
                return "nothing in flight" if not self.in_flight else "few enough in flight"
            case Phase.DEADLINE:
                return f"the timeout of {self.policy.timeout:g} s is over"

    def step(self, now: float) -> Step:
        """What to do next, by what is known at `now`."""
        if self.phase in ENDED:
            return Step(Action.DONE)
        if now >= self.deadline:
            return self._end_at_deadline()
        if self.snapshot is None or now >= (look_at := self._look_at(now, self.snapshot)):
            return self._look()
        if self.phase is Phase.SETTLING:
            settled = self._settled_at()
            if now < settled:
                return self._sleep(look_at, settled)
            self.phase = Phase.WAITING
        if self._few():
            return self._finish(now, self.snapshot.taken, look_at)
        return self._wait(now, self.snapshot.taken, look_at)

    def _finish(self, now: float, taken: float, look_at: float) -> Step:
        """Few enough are in flight: drained, if that was seen after the last arrival's quiet."""
        calm = self._settled_at()
        if taken >= calm and self._seen_few:
            self.phase = Phase.DRAINED
            return Step(Action.DONE)
        if now >= calm:
            return self._look()
        return self._sleep(look_at, calm)

    def _wait(self, now: float, taken: float, look_at: float) -> Step:
        """Too many are in flight: roll if that helps, else sleep."""
        roll_at = self._roll_at()
        if roll_at is not None and now >= roll_at and self.phase is not Phase.ROLLING:
            if taken < roll_at:
                return self._look()
            self.phase = Phase.ROLLING
            return Step(Action.ROLL)
        if roll_at is None or self.phase is Phase.ROLLING:
            return self._sleep(look_at)
        return self._sleep(look_at, roll_at)

    def _end_at_deadline(self) -> Step:
        calm = self.snapshot is not None and self.snapshot.taken >= self._settled_at()
        drained = calm and self._seen_few and not self._woken
        self.phase = Phase.DRAINED if drained else Phase.DEADLINE
        return Step(Action.DONE)

    def _few(self) -> bool:
        return len(self.in_flight) <= self.policy.exit_at

    def _look(self) -> Step:
        # A wake-up from here on is about something that the snapshot may have missed.
        self._looks_after_wake, self._woken = self._woken, False
        return Step(Action.LOOK)

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
        return Step(Action.SLEEP, min(*times, self.deadline))

    def _settled_at(self) -> float:
        return max(self.started + self.policy.min_wait, self._quiet_at())

    def _quiet_at(self) -> float:
        """When the quiet period is over, or no longer asked for."""
        if self.last_arrival is None:
            return self.started
        give_up = self.started + self.policy.timeout / 2
        return min(self.last_arrival + self.policy.quiet, give_up)

    def _why_settling(self, now: float) -> str:
        left = self.started + self.policy.min_wait - now
        if left > 0:
            return f"min-wait has {left:.1f} s to go"
        return f"connections still arrive, quiet for {self.policy.quiet:g} s is asked for"

    def _roll_at(self) -> float | None:
        """When the next roll is due, None when there is nothing to roll for."""
        if not self.policy.roll:
            return None
        if not self.rolls:
            return self._settled_at()
        last = self.rolls[-1]
        youngest = self.tally.last_opened_in_flight
        if youngest is None or youngest <= last:
            return None
        pause = max(self.policy.quiet, ROLL_PAUSE) * 2.0 ** (len(self.rolls) - 1)
        return max(last + pause, self._quiet_at())
