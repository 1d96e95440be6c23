"""Finds the processes of nginx that this process may read."""

import contextlib
import os
from pathlib import Path

from drainmon.procfs import process


def may_look_into(pid: int, root: Path = process.PROC) -> bool:
    """Whether the namespace and the sockets of the process may be read. Raises OSError when it has
    ended."""
    try:
        (root / str(pid) / "ns/net").readlink()
        os.scandir(root / str(pid) / "fd").close()
    except PermissionError:
        return False
    return True


def sight(names: frozenset[str], root: Path = process.PROC) -> tuple[int, int]:
    """The number of processes with one of the names that may be read, and of those that may not.
    Every user may read names."""
    cut = {name[: process.COMM] for name in names}
    seen = hidden = 0
    for pid in (int(entry.name) for entry in os.scandir(root) if entry.name.isdigit()):
        with contextlib.suppress(OSError):  # it has ended
            if process.name(pid, root) in cut:
                if may_look_into(pid, root):
                    seen += 1
                else:
                    hidden += 1
    return seen, hidden
