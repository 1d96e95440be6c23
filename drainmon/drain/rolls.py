"""When nginx's workers are replaced, and when again."""

from drainmon.drain.policy import Policy
from drainmon.drain.roll import Outcome, Roll

PAUSE = 1.0
"""Seconds between the first roll and a second one at the least."""

DOUBLINGS = 20
"""How often the pause between two rolls doubles at the most: by then it is days."""

FORGOTTEN_AFTER = 600.0
"""Seconds without a roll after which the pauses of a pod begin anew."""


def _pause(rolls: int, quiet: float) -> float:
    """Each roll leaves old workers behind, so they come at longer and longer intervals."""
    return max(quiet, PAUSE) * 2.0 ** min(rolls - 1, DOUBLINGS)


class Pace:
    """A pod's rolls in all of its drains: who may ask for drains may ask in a loop."""

    def __init__(self) -> None:
        self._last = 0.0
        self._rolls = 0

    def began(self, now: float) -> None:
        """A roll begins."""
        if now - self._last > FORGOTTEN_AFTER:
            self._rolls = 0
        self._last = now
        self._rolls += 1

    def next_at(self, quiet: float) -> float:
        """When the next one may begin."""
        if not self._rolls:
            return 0.0
        return self._last + min(_pause(self._rolls, quiet), FORGOTTEN_AFTER)


class Rolls:
    """Those of one drain. `began` has when each began, those before a daemon's restart left out but
    for the last; `done` is how many."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.taken_over = False
        """Whether the last one was an earlier daemon's."""
        self.began: list[float] = []
        self.done = 0
        self.latest: Roll | None = None
        """How the last roll went, or is going; None until that is known."""

    def take_over(self, policy: Policy, started: float) -> None:
        """A caller who has waited since before the daemon began may know of rolls."""
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
        """Note how the roll that has begun is going, or how it ended."""
        self.latest = roll
        if roll.outcome is Outcome.SKIPPED:
            self.began.pop()
            self.done -= 1

    def next_at(self, settled: float, quiet: float, youngest: float | None) -> float | None:
        """When the next one is due, not before the drain has `settled`; None: not by what is known.
        `quiet` is the longest period asked for; `youngest` is when the last of those in flight was
        opened."""
        if self.barred:
            return None
        if not self.began:
            return max(settled, self._pace.next_at(quiet))
        if not self._may_have_stragglers(youngest):
            return None
        own = self.began[-1] + _pause(self.done, quiet)
        return max(own, settled, self._pace.next_at(quiet))

    def _may_have_stragglers(self, youngest: float | None) -> bool:
        """Whether one of those in flight may have been opened since the last roll. Of a roll before
        the drain was taken over nobody knows who has come since."""
        if self.taken_over:
            return True
        return youngest is not None and youngest > self.began[-1]
