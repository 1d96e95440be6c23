"""What source `procfs` needs: the network tables of another process."""

from pathlib import Path

from drainmon.facts.fact import Fact, Group, Status
from drainmon.facts.host import others

_TABLES = ("tcp", "tcp6", "snmp")


def tables(root: Path) -> Fact:
    """/proc/<pid>/net/{tcp,tcp6,snmp} of some other process; a kernel without IPv6 has no tcp6."""
    why = "no other process in sight"
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
