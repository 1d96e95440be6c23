"""Finds the folder of the daemon's socket in a container, wherever it is mounted."""

import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from drainmon.procfs.mounts import mount_of, mounts
from drainmon.procfs.process import PROC

LOOKED_AT = 16
"""Mounts of the folder that are checked at most: a pod may mount it many times."""


@dataclass(frozen=True)
class FolderMount:
    """`point` is the folder's path in the container; `noexec`: no program can run from there."""

    point: str
    noexec: bool


def folder_mount(pid: int, folder: Path, root: Path = PROC) -> FolderMount | None:
    """The folder, a path of this process, in the mount namespace of the process `pid`; None when it
    is not there.

    The folder is recognised by the file system's device and the path in it, which bind mounts and
    idmapped mounts keep. Raises OSError when a process has ended or may not be read.
    """
    folder = Path(os.path.realpath(folder))
    own = mount_of(mounts(root=root), folder)
    if own is None:
        return None
    inside = PurePosixPath(own.top, folder.relative_to(own.point))
    theirs = mounts(pid, root)
    candidates = (
        row for row in theirs if row.device == own.device and inside.is_relative_to(row.top)
    )
    found = None
    for row in islice(candidates, LOOKED_AT):
        place = Path(row.point, inside.relative_to(row.top))
        if mount_of(theirs, place) == row:  # else another mount hides it
            found = FolderMount(str(place), row.noexec)
            if not found.noexec:
                break  # of two mounts, use the one where programs can run
    return found
