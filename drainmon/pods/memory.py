"""The memory of nginx, and the memory left to its container: a reload keeps the old configuration
until the new one is read, and at its limit the container is killed.

Files: memory.max, memory.current (cgroup v2), memory.limit_in_bytes, memory.usage_in_bytes (v1) and
memory.stat of the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from drainmon.kernel import statfs
from drainmon.pods.pod import NginxProcess
from drainmon.procfs import process
from drainmon.procfs.process import PROC


class _Version(NamedTuple):
    """The folders of a cgroup version's memory controllers, and the names of their files."""

    folders: tuple[str, ...]
    limit: str
    usage: str
    inactive: str


_V1 = _Version(
    ("sys/fs/cgroup/memory",),
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "total_inactive_file",
)
_V2 = _Version(
    ("sys/fs/cgroup", "sys/fs/cgroup/unified"), "memory.max", "memory.current", "inactive_file"
)


def used_by(processes: Iterable[NginxProcess], root: Path = PROC) -> int:
    """The bytes of the processes' memory, without those of files. Memory shared by forks counts in
    each, as each may need a copy."""
    used = 0
    for nginx in processes:
        with contextlib.suppress(OSError):  # it has ended
            used += process.own_memory(nginx.pid, root)
    return used


def room(
    pid: int, root: Path = PROC, is_cgroup: Callable[[int], bool] = statfs.is_cgroup
) -> int | None:
    """The bytes that the process's cgroup may take before the kernel has to kill; None where no
    limit is visible. Read in the container's own view of its cgroups: an outer limit, as its pod's,
    is visible only where the container shares the host's view.

    A container may put files of its own in place of cgroups: only files for which `is_cgroup` (of a
    file descriptor) returns True are read.
    """
    found = []
    with contextlib.suppress(OSError, ValueError):  # a malformed line
        for line in process.cgroup(pid, root).splitlines():
            _, controllers, path = line.split(":", 2)
            if version := _version(controllers):
                for top in version.folders:
                    with contextlib.suppress(OSError), _folder(root / str(pid) / "root", top) as fd:
                        if is_cgroup(fd):
                            found += [_room_in(fd, inside, version) for inside in _upwards(path)]
    return min((left for left in found if left is not None), default=None)


@contextlib.contextmanager
def _folder(root: Path, path: str) -> Iterator[int]:
    """An O_PATH descriptor of a folder below `root`, reached without following links."""
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in path.split("/"):
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            outer, fd = fd, os.open(name, flags, dir_fd=fd)
            os.close(outer)
        yield fd
    finally:
        os.close(fd)


def _version(controllers: str) -> _Version | None:
    if not controllers:
        return _V2
    return _V1 if "memory" in controllers.split(",") else None


def _upwards(path: str) -> Iterator[PurePosixPath]:
    inside = PurePosixPath(path.strip("/"))
    if ".." not in inside.parts:
        yield from (inside, *inside.parents)
    else:
        yield PurePosixPath()


def _room_in(top: int, inside: PurePosixPath, version: _Version) -> int | None:
    """The bytes left in a cgroup; None without a limit, and where it cannot be read."""
    try:
        limit, usage, statistics = (
            _read(top, inside / name) for name in (version.limit, version.usage, "memory.stat")
        )
        inactive = dict(map(str.split, statistics.splitlines()))[version.inactive]
        return int(limit) - int(usage) + int(inactive)
    except (OSError, ValueError, KeyError):  # "max" is not a number
        return None


def _read(top: int, path: PurePosixPath) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    with os.fdopen(fd) as file:
        return file.read()
