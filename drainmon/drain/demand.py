"""One client's part in a drain, judged by its own options."""

from enum import StrEnum

from drainmon.drain.policy import Policy


class Phase(StrEnum):
    SETTLING = "settling"
    ROLLING = "rolling"
    WAITING = "waiting"
    DRAINED = "drained"
    DEADLINE = "deadline"
    GONE = "gone"
    CUT = "cut"
    STUCK = "stuck"


ENDED = frozenset({Phase.DRAINED, Phase.DEADLINE, Phase.GONE, Phase.CUT, Phase.STUCK})


class Demand:
    """One client's options; its time counts from `started` (monotonic seconds). `result` is how the
    drain ended for this client, None while the client waits."""

    def __init__(self, policy: Policy, started: float) -> None:
        self.policy = policy
        self.started = started
        self.result: Phase | None = None

    @property
    def deadline(self) -> float:
        return self.started + self.policy.timeout

    @property
    def min_wait_until(self) -> float:
        return self.started + self.policy.min_wait

    def accepts(self, in_flight: float) -> bool:
        """Whether this client is drained with this number of connections in flight."""
        return in_flight <= self.policy.exit_at

    def quiet_at(self, last_arrival: float | None) -> float:
        """When the quiet period ends, or is no longer required."""
        if last_arrival is None:
            return self.started
        give_up = self.started + self.policy.given_timeout / 2
        return min(last_arrival + self.policy.quiet, give_up)

    def settled_at(self, last_arrival: float | None, closed: float | None) -> float:
        """When the drain settles, if nothing more arrives. `closed`: since when nothing listens and
        nginx has ended, None while there is something to serve."""
        settled = max(self.min_wait_until, self.quiet_at(last_arrival))
        return settled if closed is None else min(settled, closed + self.policy.quiet)
