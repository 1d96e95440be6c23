"""The capabilities of this process that drainmon has a use for."""

from enum import IntEnum
from pathlib import Path

from drainmon.facts.fact import Fact, Group, Status


class Capability(IntEnum):
    """linux/capability.h. BPF and PERFMON came with kernel 5.8; SYS_ADMIN contains both."""

    DAC_READ_SEARCH = 2
    KILL = 5
    SYS_PTRACE = 19
    SYS_ADMIN = 21
    PERFMON = 38
    BPF = 39


def parse_effective(status: str) -> frozenset[Capability]:
    """The effective set in the text of /proc/<pid>/status; empty when there is none."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            mask = int(value, 16)
            return frozenset(cap for cap in Capability if mask >> cap & 1)
    return frozenset()


def effective(root: Path) -> frozenset[Capability]:
    """This process's own. Raises OSError without /proc."""
    return parse_effective((root / "proc/self/status").read_text())


def held(caps: frozenset[Capability]) -> Fact:
    """Which of them there are. Without KILL only nginx of the daemon's own user can be rolled."""
    found = " ".join(cap.name for cap in Capability if cap in caps) or "none of use"
    if Capability.KILL in caps:
        return Fact(Group.HOST, "capabilities", Status.OK, found)
    advice = "cannot roll nginx of other users without KILL: their idle connections hold drains up"
    return Fact(Group.HOST, "capabilities", Status.DEGRADED, found, advice)


def to_trace(group: Group, caps: frozenset[Capability]) -> Fact:
    """Whether programs may be loaded and attached to tracepoints; bcc reads tracefs in a mount
    namespace of its own, which takes SYS_ADMIN."""
    enough = group is Group.CORE and {Capability.BPF, Capability.PERFMON} <= caps
    if Capability.SYS_ADMIN in caps or enough:
        return Fact(group, "may trace", Status.OK, "by its capabilities")
    advice = "run as root, in a container with securityContext.privileged"
    found = "no: without SYS_ADMIN"
    if group is Group.CORE:
        found = "no: neither BPF and PERFMON nor SYS_ADMIN"
    return Fact(group, "may trace", Status.MISSING, found, advice)


def to_enter(caps: frozenset[Capability]) -> Fact:
    """Whether a pod's network namespace may be entered, as setns(2) wants it."""
    if Capability.SYS_ADMIN in caps:
        return Fact(Group.CORE, "may enter pods", Status.OK, "by its capabilities")
    advice = "run as root, in a container with securityContext.privileged"
    return Fact(Group.CORE, "may enter pods", Status.MISSING, "no: without SYS_ADMIN", advice)
