"""One fact about the host, and what all facts together say."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"  # works, but less well
    MISSING = "missing"  # what the group is about does not work without it
    UNKNOWN = "unknown"  # this process may not look


class Group(StrEnum):
    """What a fact is needed for: `HOST` by every source, `SERVING` by the hooks."""

    HOST = "host"
    CORE = "core"
    BCC = "bcc"
    PROCFS = "procfs"
    SERVING = "serving"


SOURCES = (Group.CORE, Group.BCC, Group.PROCFS)
"""In the order in which they are preferred."""


@dataclass(frozen=True)
class Fact:
    """`found` is what there is, `advice` what to do about what is not."""

    group: Group
    name: str
    status: Status
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Verdict:
    """The source that works best here, None when none does; `degraded` when it is not the best one
    there is, or the host keeps something from it."""

    source: str | None
    degraded: bool

    @property
    def exit_code(self) -> int:
        if self.source is None:
            return 2
        return 1 if self.degraded else 0


def judge(facts: Iterable[Fact]) -> Verdict:
    """A source works when nothing that it, the host or the hooks need is missing."""
    found = {(fact.group, fact.status) for fact in facts}
    if {(Group.HOST, Status.MISSING), (Group.SERVING, Status.MISSING)} & found:
        return Verdict(None, True)
    working = (source for source in SOURCES if (source, Status.MISSING) not in found)
    source = next(working, None)
    return Verdict(source, source != Group.CORE or (Group.HOST, Status.DEGRADED) in found)
