"""How a container sees the folder that the daemon's socket is in, wherever it has mounted it."""

import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from drainmon.procfs.mounts import PROC, mount_of, mounts

LOOKED_AT = 16
"""Mounts of the folder at the most: whoever may mount must not keep the daemon busy."""


@dataclass(frozen=True)
class FolderMount:
    """`point` is the folder's path in the container; `noexec`: no program can be run from there."""

    point: str
    noexec: bool


def folder_mount(pid: int, folder: Path, root: Path = PROC) -> FolderMount | None:
    """The folder, a path of this process, as the process `pid` sees it: in a container by a mount
    of it or of a folder above, in the host's mount namespace as it is. None when it does not.

    Told by the file system's device and the path in it, which bind mounts and idmapped ones keep.
    Raises OSError when a process is gone or may not be read.
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
        if mount_of(theirs, place) == row:  # else another one hides it
            found = FolderMount(str(place), row.noexec)
            if not found.noexec:
                break  # mounted twice, it can be used where programs can be run
    return found
