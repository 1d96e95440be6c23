"""What a drain was asked for."""

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

    timeout: when to give up, counted from the drain's start. margin: how much longer the caller
    itself waits, so that it gets the answer: the timeout that its user gave is the sum. min_wait:
    how long to go on serving in any case, for the news of the pod's end to reach its last client.
    quiet: how long no new connection may have arrived. exit_at: how many connections in flight are
    few enough. roll: whether nginx's workers are replaced so that idle connections close. ignored:
    connections that neither are in flight nor disturb the quiet. unreachable_after: for how long
    the kernel must have sent again in vain until a peer is taken for gone, and its connection is no
    longer waited for; 0: never.

    The others are for a caller who begins again, before another daemon. elapsed: how much of the
    timeout is spent already. rolls: how often nginx's workers were replaced in that time, and
    rolled: when the last time was, counted from the drain's start. ports: those of nginx that the
    caller knows of.

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
        """The timeout as the caller's user gave it: the one to show."""
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
