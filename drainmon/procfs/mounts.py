"""Parses the mounts of a process, /proc/<pid>/mountinfo; proc_pid_mountinfo(5)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from drainmon.procfs.process import PROC

_OCTAL = re.compile(r"\\([0-7]{3})")
_DELETED = "//deleted"  # show_mountinfo in fs/proc_namespace.c of the kernel, seq_dentry


@dataclass(frozen=True)
class Mount:
    """A row. `device` is `major:minor` of the file system, `top` its mounted folder, `point` the
    path of the mount for the process."""

    number: int
    parent: int
    device: str
    top: str
    point: str
    options: frozenset[str]
    kind: str

    @property
    def noexec(self) -> bool:
        return "noexec" in self.options


def mounts(pid: int | str = "self", root: Path = PROC) -> list[Mount]:
    """The mounts of a process. Raises OSError when it has ended or may not be read."""
    return parse_mounts((root / str(pid) / "mountinfo").read_text(errors="surrogateescape"))


def parse_mounts(mountinfo: str) -> list[Mount]:
    """The rows, without malformed ones, and without mounts of deleted folders."""
    found = []
    for line in mountinfo.split("\n"):
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if len(fields) < 6 or not fields[0].isdigit() or not fields[1].isdigit() or not kind[0]:
            continue
        if fields[3].endswith(_DELETED):
            continue
        number, parent, device, top, point, options = fields[:6]
        found.append(
            Mount(
                int(number), int(parent), device, _plain(top), _plain(point),
                frozenset(options.split(",")), kind[0],
            )
        )  # fmt: skip
    return found


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def mount_of(rows: Iterable[Mount], path: Path) -> Mount | None:
    """The mount of an absolute path without symbolic links; None when none of the rows has it. Goes
    from mount to mount as the kernel does: a mount hides everything below its folder."""
    on_the_way = [row for row in rows if path.is_relative_to(row.point)]
    numbers = {row.number for row in on_the_way}
    here = [row for row in on_the_way if row.parent not in numbers or row.parent == row.number]
    found = None
    while here:
        # The kernel meets the mount nearest to the root first; of two on a folder, the later one.
        found = min(reversed(here), key=lambda row: len(row.point))
        here = [row for row in on_the_way if row.parent == found.number != row.number]
    return found
