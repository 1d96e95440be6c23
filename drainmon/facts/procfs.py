"""The requirements of source `procfs`: the network tables of other processes; better, sock_diag."""

from pathlib import Path

from drainmon.facts.fact import Fact, Group, Status
from drainmon.facts.host import others
from drainmon.kernel.sock_diag import try_listing

_TABLES = ("tcp", "tcp6", "snmp")


def tables(root: Path) -> Fact:
    """Whether /proc/<pid>/net/{tcp,tcp6,snmp} of any other process can be read; a kernel without
    IPv6 has no tcp6."""
    why = "no other process visible"
    for pid in others(root):
        found = []
        for table in _TABLES:
            try:
                with (root / "proc" / pid / "net" / table).open("rb") as file:
                    file.readline()
                found.append(table)
            except OSError as error:
                if table != "tcp6":
                    why = f"/proc/{pid}/net/{table}: {error.strerror}"
        if {"tcp", "snmp"} <= set(found):
            names = ",".join(found)
            return Fact(Group.PROCFS, "network tables", Status.OK, f"/proc/<pid>/net/{{{names}}}")
    advice = "mount the host's /proc, give the container hostPID, run as root"
    return Fact(Group.PROCFS, "network tables", Status.MISSING, why, advice)


def sock_diag() -> Fact:
    """Whether sockets can be listed inside network namespaces, with their bytes and times."""
    try:
        try_listing()
    except OSError as error:
        advice = "unused connections delay drains: add SYS_ADMIN"
        why = error.strerror or str(error)
        return Fact(Group.PROCFS, "sock_diag", Status.DEGRADED, f"reads tables: {why}", advice)
    return Fact(Group.PROCFS, "sock_diag", Status.OK, "in the pods' namespaces")
