"""One fact about the host, and the verdict of all facts."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from drainmon import SOURCES


class Status(StrEnum):
    OK = "ok"
    NOTE = "note"  # worth knowing, without consequences
    DEGRADED = "degraded"  # works, but less well
    MISSING = "missing"  # the fact's group does not work without it
    UNKNOWN = "unknown"  # this process may not read it


class Group(StrEnum):
    """What a fact is needed for: `HOST` by every source, `SERVING` by the hooks."""

    HOST = "host"
    CORE = "core"
    BCC = "bcc"
    PROCFS = "procfs"
    SERVING = "serving"


@dataclass(frozen=True)
class Fact:
    """`found` is what the host has, `advice` how to fix what is missing."""

    group: Group
    name: str
    status: Status
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Verdict:
    """The best source that works here, None when none does, and the facts as they matter for it."""

    source: str | None
    facts: tuple[Fact, ...]

    @property
    def shortcomings(self) -> tuple[str, ...]:
        """The names of facts that are missing or degraded."""
        poor = (Status.MISSING, Status.DEGRADED)
        return tuple(dict.fromkeys(fact.name for fact in self.facts if fact.status in poor))

    @property
    def degraded(self) -> bool:
        return bool(self.shortcomings)

    @property
    def exit_code(self) -> int:
        if self.source is None:
            return 2
        return 1 if self.degraded else 0


def judge(facts: Iterable[Fact]) -> Verdict:
    """The verdict. A source works when none of its own, the host's and the hooks' requirements is
    missing. What only worse sources lack becomes a note."""
    facts = tuple(facts)
    lacking = {fact.group for fact in facts if fact.status is Status.MISSING}
    if lacking & {Group.HOST, Group.SERVING}:
        return Verdict(None, facts)
    source = next((source for source in SOURCES if source not in lacking), None)
    worse = SOURCES[SOURCES.index(source) + 1 :] if source else ()
    return Verdict(source, tuple(_noted(fact) if fact.group in worse else fact for fact in facts))


def _noted(fact: Fact) -> Fact:
    poor = fact.status in (Status.MISSING, Status.DEGRADED)
    return replace(fact, status=Status.NOTE) if poor else fact
