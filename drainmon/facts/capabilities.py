"""The capabilities of this process that drainmon uses."""

from collections.abc import Iterable
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


NEEDED = {
    Capability.SYS_ADMIN: "load programs and enter the network namespaces of pods",
    Capability.SYS_PTRACE: "see which pod a process is in",
    Capability.DAC_READ_SEARCH: "see the ports of nginx of other users",
    Capability.KILL: "roll nginx of other users, whose idle connections then delay drains",
}
"""What the daemon cannot do without each capability."""

TO_SEE = (Capability.SYS_PTRACE, Capability.DAC_READ_SEARCH)
"""The capabilities to see the namespaces and sockets of all processes."""

HOW_TO_GIVE = "run as root; in a container, add it to securityContext.capabilities"


def parse_effective(status: str) -> frozenset[Capability]:
    """The effective set in the text of /proc/<pid>/status; empty when the text has none."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            mask = int(value, 16)
            return frozenset(cap for cap in Capability if mask >> cap & 1)
    return frozenset()


def effective(root: Path) -> frozenset[Capability]:
    """The effective capabilities of this process. Raises OSError without /proc."""
    return parse_effective((root / "proc/self/status").read_text())


def missing(caps: frozenset[Capability]) -> list[Capability]:
    """The needed capabilities that are not among `caps`."""
    return [cap for cap in NEEDED if cap not in caps]


def named(caps: Iterable[Capability]) -> str:
    return ", ".join(cap.name for cap in caps)


def held(caps: frozenset[Capability]) -> Fact:
    """Which of the needed capabilities this process has."""
    lacking = missing(caps)
    found = named(cap for cap in NEEDED if cap in caps) or "none"
    if not lacking:
        return Fact(Group.HOST, "capabilities", Status.OK, found)
    advice = "; ".join(f"without {cap.name} it cannot {NEEDED[cap]}" for cap in lacking)
    found = f"{found}; missing: {named(lacking)}"
    return Fact(Group.HOST, "capabilities", Status.DEGRADED, found, advice)


def to_trace(group: Group, caps: frozenset[Capability]) -> Fact:
    """Whether this process may load programs and attach them to tracepoints; bcc reads tracefs in a
    mount namespace of its own, which requires SYS_ADMIN."""
    enough = group is Group.CORE and {Capability.BPF, Capability.PERFMON} <= caps
    if Capability.SYS_ADMIN in caps or enough:
        return Fact(group, "may trace", Status.OK, "by its capabilities")
    found = "no: missing SYS_ADMIN"
    if group is Group.CORE:
        found = "no: missing SYS_ADMIN, or BPF and PERFMON"
    return Fact(group, "may trace", Status.MISSING, found, HOW_TO_GIVE)


def to_enter(caps: frozenset[Capability]) -> Fact:
    """Whether this process may enter a pod's network namespace (setns(2))."""
    if Capability.SYS_ADMIN in caps:
        return Fact(Group.CORE, "may enter pods", Status.OK, "by its capabilities")
    found = "no: missing SYS_ADMIN"
    return Fact(Group.CORE, "may enter pods", Status.MISSING, found, HOW_TO_GIVE)
