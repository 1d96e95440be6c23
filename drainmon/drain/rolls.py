"""When nginx's workers are replaced, and when they are replaced again."""

from drainmon.drain.policy import Policy
from drainmon.drain.roll import OUTRUN, Outcome, Roll

PAUSE = 1.0
"""Least seconds between the first roll and the second."""

DOUBLINGS = 20
"""How often the pause between two rolls doubles at most: by then it is days."""

FORGOTTEN_AFTER = 600.0
"""Seconds without a roll after which the pauses of a pod begin anew."""


def _pause(rolls: int, quiet: float) -> float:
    """Seconds to the next roll, longer each time: each roll leaves old workers behind."""
    return max(quiet, PAUSE) * 2.0 ** min(rolls - 1, DOUBLINGS)


class RollPace:
    """The pace of a pod's rolls in all of its drains: a client may ask for drains in a loop."""

    def __init__(self) -> None:
        self._last = 0.0
        self._rolls = 0

    def began(self, now: float) -> None:
        """Record a roll that begins."""
        if now - self._last > FORGOTTEN_AFTER:
            self._rolls = 0
        self._last = now
        self._rolls += 1

    def next_at(self, quiet: float) -> float:
        """When the next roll may begin."""
        if not self._rolls:
            return 0.0
        return self._last + min(_pause(self._rolls, quiet), FORGOTTEN_AFTER)


class Rolls:
    """The rolls of one drain. `began` has their start times, of those of an earlier daemon only the
    last; `done` counts all."""

    def __init__(self, pace: RollPace) -> None:
        self._pace = pace
        self.taken_over = False
        """Whether the last roll was an earlier daemon's."""
        self.began: list[float] = []
        self.done = 0
        self.latest: Roll | None = None
        """The outcome of the last roll, also while it runs; None until that is known."""

    def take_over(self, policy: Policy, started: float) -> None:
        """Add the rolls of an earlier daemon that a client reports."""
        if policy.rolls > self.done:
            self.done = policy.rolls
            self.taken_over = not self.began
            self.began.insert(0, started + min(policy.rolled, policy.elapsed))

    @property
    def barred(self) -> bool:
        """Whether the last roll was skipped or failed: there is no second try."""
        return self.latest is not None and not self.latest.helps

    @property
    def stuck(self) -> bool:
        return self.latest is not None and self.latest.stuck

    def begin(self, now: float) -> None:
        self.latest = None
        self.began.append(now)
        self.taken_over = False
        self.done += 1
        self._pace.began(now)

    def goes(self, roll: Roll) -> None:
        """Record the progress or the end of the roll that has begun."""
        self.latest = roll
        if roll.outcome is Outcome.SKIPPED:
            self.began.pop()
            self.done -= 1

    def end(self) -> Roll:
        """The outcome of a roll that the end of its drain interrupts, perhaps before the roll has
        signalled any worker."""
        self.latest = self.latest or OUTRUN
        return self.latest

    def next_at(self, settled: float, quiet: float, youngest: float | None) -> float | None:
        """When the next roll is due, not before the drain has `settled`; None when none is due so
        far. `quiet` is the longest quiet period; `youngest` is when the youngest connection in
        flight was opened."""
        if self.barred:
            return None
        if not self.began:
            return max(settled, self._pace.next_at(quiet))
        if not self._may_have_stragglers(youngest):
            return None
        own = self.began[-1] + _pause(self.done, quiet)
        return max(own, settled, self._pace.next_at(quiet))

    def _may_have_stragglers(self, youngest: float | None) -> bool:
        """Whether a connection in flight may have been opened since the last roll. After a roll of
        an earlier daemon, that is not known."""
        if self.taken_over:
            return True
        return youngest is not None and youngest > self.began[-1]
