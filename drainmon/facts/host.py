"""The requirements of every source: to see the host's processes and to which pods they belong."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from drainmon.facts.capabilities import HOW_TO_GIVE, TO_SEE, Capability, named
from drainmon.facts.fact import Fact, Group, Status
from drainmon.pods.sight import may_look_into, sight

INITIAL_PID_NAMESPACE = 4026531836
"""PROC_PID_INIT_INO of linux/proc_ns.h: the same on every kernel since 3.8."""

_INIT = frozenset({"systemd", "init", "kubelet", "k3s", "k3s-server", "k3s-agent"})
_NAMESPACE = re.compile(r"pid:\[(\d+)\]")
_PROC_NEEDED = "mount the host's /proc and give the container hostPID"


def release(root: Path) -> str:
    """The kernel's release, as uname(2) gives it. Raises OSError without /proc."""
    return (root / "proc/sys/kernel/osrelease").read_text().strip()


def kernel(root: Path) -> Fact:
    try:
        return Fact(Group.HOST, "kernel", Status.OK, f"Linux {release(root)} {os.uname().machine}")
    except OSError as error:
        return Fact(Group.HOST, "kernel", Status.MISSING, f"{error.strerror}", _PROC_NEEDED)


def pid_namespace(root: Path) -> Fact:
    """Whether the node's processes are visible: in the initial namespace, or in that of a node that
    is a container itself (kind, k3d), whose pid 1 is an init."""
    name = "pid namespace"
    try:
        link = str((root / "proc/self/ns/pid").readlink())
        first = (root / "proc/1/comm").read_text().strip()
    except OSError as error:
        return Fact(Group.HOST, name, Status.UNKNOWN, f"{error.strerror}", _PROC_NEEDED)
    match = _NAMESPACE.fullmatch(link)
    if match and int(match[1]) == INITIAL_PID_NAMESPACE:
        return Fact(Group.HOST, name, Status.OK, "the host's")
    if first in _INIT:
        return Fact(Group.HOST, name, Status.OK, f"that of a node: pid 1 is {first}")
    advice = "cannot see the node's pods or identify callers: set hostPID: true"
    return Fact(Group.HOST, name, Status.DEGRADED, f"a container's own: pid 1 is {first}", advice)


def processes(root: Path, caps: frozenset[Capability], names: frozenset[str]) -> Fact:
    """Whether this process may read the namespaces and sockets of other processes. All are tried: a
    security module can refuse what capabilities allow. `names` are nginx's; a daemon that is not
    root needs to see one of these only."""
    looked = refused = 0
    for pid in others(root):
        with suppress(OSError):  # ended meanwhile
            if may_look_into(int(pid), root / "proc"):
                looked += 1
            else:
                refused += 1
    found = f"can look into {looked} of {looked + refused}"
    lacking = [cap for cap in TO_SEE if cap not in caps]
    if not refused or (not lacking and looked > refused):
        return Fact(Group.HOST, "processes", Status.OK, found)
    advice = "a security module refuses what its capabilities allow"
    if lacking:
        advice = f"missing {named(lacking)}: {HOW_TO_GIVE}"
    seen, hidden = sight(names, root / "proc")
    found += f", {seen} of {seen + hidden} processes of nginx"
    is_blind = not seen and Capability.SYS_PTRACE in lacking
    status = Status.MISSING if is_blind else Status.DEGRADED
    return Fact(Group.HOST, "processes", status, found, advice)


def others(root: Path) -> Iterator[str]:
    """The pids of all other processes, without kernel threads, which have no command line."""
    own = str(os.getpid())
    for folder in (root / "proc").glob("[0-9]*"):
        with suppress(OSError):
            if folder.name != own and (folder / "cmdline").read_bytes():
                yield folder.name


def parse_layout(cgroup: str) -> str:
    """v1, v2 or hybrid, from the text of /proc/<pid>/cgroup; empty without cgroups; cgroups(7)."""
    hierarchies = {line.split(":", 1)[0] for line in cgroup.splitlines() if ":" in line}
    if hierarchies == {"0"}:
        return "v2"
    return "hybrid" if "0" in hierarchies else "v1" if hierarchies else ""


def has_kubelet(root: Path) -> bool:
    """Whether a kubelet's cgroups are visible."""
    return bool(_driver(root))


def cgroups(root: Path) -> Fact:
    """The layout, and the kubelet's driver by the names of its folders."""
    try:
        layout = parse_layout((root / "proc/self/cgroup").read_text())
    except OSError:
        layout = ""
    if not layout:
        advice = "pods are named by their network namespace: the kernel has no cgroups"
        return Fact(Group.HOST, "cgroups", Status.DEGRADED, "none", advice)
    driver = _driver(root) or "no kubelet's folders visible"
    return Fact(Group.HOST, "cgroups", Status.OK, f"{layout}, {driver}")


def _driver(root: Path) -> str:
    # v2 has the pods' folders at the top, v1 and hybrid below a controller; a kubelet with
    # --cgroup-root (kind) has them in a folder of its own.
    top = root / "sys/fs/cgroup"
    for prefix in ("", "*/", "*/*/"):
        if any(top.glob(f"{prefix}*kubepods.slice")):
            return "kubelet with the systemd driver"
        if any(top.glob(f"{prefix}kubepods")):
            return "kubelet with the cgroupfs driver"
    return ""
