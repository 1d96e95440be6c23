"""The daemon's unix socket: made so that every pod can connect, and never in another's place.

Whoever may write to a folder on the way to it could put something else there: a link that leads the
daemon astray, or a socket of his own that the pods' hooks would ask. So all of them must be root's,
or the daemon's own user's. In one with the sticky bit, like /tmp, others cannot touch what is ours.
"""

import contextlib
import os
import socket
import stat
import struct
from pathlib import Path

FOLDER_MODE = 0o755
SOCKET_MODE = 0o666
BACKLOG = 4096

_UCRED = struct.Struct("=iII")

LINKS = 40
"""Symbolic links followed at the most, as by path_resolution(7)."""


def bind(path: Path, take_over: bool = False) -> socket.socket:
    """A listening socket at `path`, its folder made if need be, a stale socket replaced. Where
    another daemon listens and `take_over` is set, it has a name of its own beside it, until
    `publish`.

    Raises OSError "cannot listen on PATH: why", also when another daemon is in the place,
    something else than a socket, or others could replace it.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        make_folder(path.parent)
        free = _make_room(path)
        if not free and not take_over:
            raise OSError("another daemon listens there")
        own = path if free else path.with_name(f".{path.name}.{os.getpid()}")
        if own != path and not _make_room(own):
            raise OSError(f"another daemon listens on {own}")
        listener.bind(str(own))
        own.chmod(SOCKET_MODE)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        why = error.strerror or str(error)
        raise OSError(error.errno, f"cannot listen on {path}: {why}") from error
    return listener


def listens_at(path: Path) -> int | None:
    """The pid of the process that listens at `path`; None when nobody does, or nobody in sight."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except OSError:
            return None
        told = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid: int = _UCRED.unpack(told)[0]
    return pid or None


def publish(listener: socket.socket, path: Path) -> None:
    """Give the socket the place at `path`, also over another daemon's head: whoever connects from
    now on comes here, who is connected stays there."""
    own = Path(listener.getsockname())
    if own != path:
        own.replace(path)


def remove(path: Path, inode: int) -> None:
    """Take the socket's name away, unless it is another daemon's by now: `inode` is what it had
    when it was bound. Call it before the listener closes; then another may take the place."""
    with contextlib.suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()


def make_folder(folder: Path) -> None:
    """The folder, with all above it that are missing. Raises OSError when one is not safe."""
    missing = []
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = folder.parent
    check_folder(folder.absolute())
    for folder in reversed(missing):
        folder.mkdir(FOLDER_MODE)
        folder.chmod(FOLDER_MODE)  # whatever the umask is


def check_folder(folder: Path) -> None:
    """Raise OSError when somebody else than root or we can change what is at an absolute path."""
    left, links = list(reversed(folder.parts[1:])), 0
    at = Path("/")
    _check(at)
    while left:
        name = left.pop()
        if name == "..":
            at = at.parent
            continue
        entry = at / name
        if not entry.is_symlink():
            at = entry
            _check(at)
            continue
        links += 1
        if links > LINKS:
            raise OSError(f"{folder} has too many symbolic links")
        if entry.lstat().st_uid not in _trusted():
            raise OSError(f"{entry} is another user's symbolic link")
        target = entry.readlink()
        if target.is_absolute():
            at = Path("/")
        left += reversed([part for part in target.parts if part != "/"])


def _check(folder: Path) -> None:
    found = folder.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{folder} is not a folder")
    if found.st_uid not in _trusted():
        raise OSError(f"the folder {folder} is another user's")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX:
        raise OSError(f"others may write to the folder {folder}")


def _trusted() -> set[int]:
    return {0, os.geteuid()}


def _make_room(path: Path) -> bool:
    """Remove a stale socket; whether the place is free, and not a living daemon's."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return True
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError("there is something else than a socket")
    if found.st_uid not in _trusted():
        raise OSError("there is another user's socket")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.setblocking(False)  # a daemon that is too busy to accept is one
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return True
        except BlockingIOError:
            pass
    return False
