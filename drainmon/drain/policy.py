"""The options of a drain."""

from dataclasses import dataclass, fields, replace
from math import inf

from drainmon.model.ignored import NOTHING, Ignored
from drainmon.model.snapshot import Rules
from drainmon.model.standing import UNREACHABLE_AFTER

LONGEST = 1e6
"""The largest value of any option; in seconds some eleven days."""


@dataclass(frozen=True)
class Policy:
    """The options of one drain; times in seconds.

    timeout: when to give up, counted from the drain's start. margin: how much longer the client
    itself waits, so that it gets the answer: its user's timeout is the sum. min_wait: how long to
    keep serving in any case, until the last of the pod's clients has learned of its end. quiet: how
    long no new connection may have arrived. exit_at: drained with at most this many connections in
    flight. roll: whether nginx's workers are replaced so that idle connections close. ignored:
    connections that are neither in flight nor arrivals. unreachable_after: how long the kernel must
    have retransmitted in vain until a peer counts as gone, and the drain no longer waits for it;
    0: never.

    The others are for a client that begins again with another daemon. elapsed: how much of the
    timeout has passed. rolls: how often nginx's workers were replaced in that time. rolled: when
    they last were, counted from the drain's start. ports: nginx's ports that the client knows.

    Raises ValueError "cannot drain: why" for values out of range.
    """

    timeout: float = 25.0
    min_wait: float = 5.0
    quiet: float = 1.5
    exit_at: int = 0
    roll: bool = True
    elapsed: float = 0.0
    rolls: int = 0
    rolled: float = 0.0
    ignored: Ignored = NOTHING
    unreachable_after: float = UNREACHABLE_AFTER
    ports: frozenset[int] = frozenset()
    margin: float = 0.0

    @property
    def given_timeout(self) -> float:
        """The timeout that the client's user gave: the one to show."""
        return round(self.timeout + self.margin, 3)

    @property
    def rules(self) -> Rules:
        """Which connections are waited for."""
        return Rules(self.ignored, self.unreachable_after or inf)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in {"ignored", "ports"}:
                continue
            if field.type is bool:
                if not isinstance(value, bool):
                    raise ValueError(f"cannot drain: {field.name} is not true or false: {value!r}")
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"cannot drain: {field.name} is not a number: {value!r}")
            if field.type is int and not isinstance(value, int):
                raise ValueError(f"cannot drain: {field.name} is not a whole number: {value!r}")
            if not 0 <= value <= LONGEST:
                raise ValueError(f"cannot drain: {field.name} is out of range (0 to {LONGEST:g})")


def fitted(policy: Policy) -> Policy:
    """The same, with half of the timeout for min_wait if min_wait does not fit into it: else no
    drain would end before its deadline."""
    if policy.min_wait < policy.given_timeout:
        return policy
    return replace(policy, min_wait=policy.given_timeout / 2)
