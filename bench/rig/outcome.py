"""The outcome of each request, and the totals of a run."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self


class Kind(StrEnum):
    """The client that sent the request."""

    SHORT = "short"
    KEEP_ALIVE = "keep-alive"
    SLOW_READER = "slow-reader"
    SLOW_UPSTREAM = "slow-upstream"
    ENDLESS = "endless"
    STREAM = "stream"


class Outcome(StrEnum):
    """The end of a request."""

    OK = "ok"
    REFUSED = "refused"
    """No connection could be opened."""
    RESET = "reset"
    """The connection ended, by RST or EOF, before the first byte of the reply."""
    TRUNCATED = "truncated"
    """The reply began and did not end: RST, EOF, or silence."""
    TIMEOUT = "timeout"
    """Nothing arrived."""


class Lost(Exception):
    """A request without a whole reply: its outcome, and the kernel's message."""

    def __init__(self, outcome: Outcome, why: str) -> None:
        super().__init__(f"{outcome}: {why}")
        self.outcome = outcome
        self.why = why


class Disclaimed(Exception):
    """The server has declared that it did not act on the request, which goes to another one: no
    loss.

    Only HTTP/3's GOAWAY does so.
    """


@dataclass
class Totals:
    """Requests by kind and outcome; `races` of them were sent on a reused connection and reset.

    Such a request was in transit while the server closed the idle connection: only the server can
    prevent it, by announcing the close in a reply.
    """

    outcomes: dict[Kind, Counter[Outcome]] = field(
        default_factory=lambda: {kind: Counter() for kind in Kind}
    )
    races: Counter[Kind] = field(default_factory=Counter)

    def add(self, kind: Kind, outcome: Outcome, *, race: bool = False) -> None:
        self.outcomes[kind][outcome] += 1
        self.races[kind] += race

    def requests(self, *kinds: Kind) -> int:
        """How many were sent, by all kinds unless some are named."""
        return sum(self.outcomes[kind].total() for kind in kinds or Kind)

    def lost(self, *kinds: Kind) -> int:
        """How many got no whole reply, of all kinds unless some are named."""
        chosen = kinds or tuple(Kind)
        return self.requests(*chosen) - sum(self.outcomes[kind][Outcome.OK] for kind in chosen)

    def losses(self, *kinds: Kind) -> Counter[Outcome]:
        """Lost requests by outcome, of all kinds unless some are named."""
        merged: Counter[Outcome] = Counter()
        for kind in kinds or Kind:
            merged += self.outcomes[kind]
        del merged[Outcome.OK]
        return merged

    def to_json(self) -> dict[str, Any]:
        return {"outcomes": self.outcomes, "races": self.races}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        totals = cls()
        for kind, counts in value["outcomes"].items():
            totals.outcomes[Kind(kind)] = Counter({Outcome(k): n for k, n in counts.items()})
        totals.races = Counter({Kind(kind): n for kind, n in value["races"].items()})
        return totals
