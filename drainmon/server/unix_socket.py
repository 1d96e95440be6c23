"""The daemon's unix socket: made so that every pod can connect, and never in place of another file.

A user that may write to a folder of its path could replace the socket: by a link that leads the
daemon astray, or by a socket that pods' hooks would use. So all folders must belong to root or to
the daemon's user. In a folder with the sticky bit, like /tmp, others cannot touch the socket.
"""

import contextlib
import os
import socket
import stat
from pathlib import Path

from drainmon.server.peer import process_of

FOLDER_MODE = 0o755
SOCKET_MODE = 0o666
BACKLOG = 4096

LINKS = 40
"""Symbolic links followed at most, as in path_resolution(7)."""


def bind(path: Path, take_over: bool = False) -> socket.socket:
    """A listen socket at `path`. Makes its folder if needed, and replaces a stale socket. Where
    another daemon listens and `take_over` is set, the socket has a name beside `path` until
    `publish`.

    Raises OSError "cannot listen on PATH: why", also when another daemon listens there, `path` is
    not a socket, or another user could replace it.
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
    """The pid of the process that listens at `path`; None when none does, or it is not visible."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except OSError:
            return None
        return process_of(probe) or None


def publish(listener: socket.socket, path: Path) -> None:
    """Move the socket to `path`, in place of another daemon's socket: new connections come here,
    existing ones stay with the other daemon."""
    own = Path(listener.getsockname())
    if own != path:
        own.replace(path)


def remove(path: Path, inode: int) -> None:
    """Remove the socket file, unless it is another daemon's by now: `inode` is that of the bound
    socket. Call it before the listener closes; after that another daemon may take the path."""
    with contextlib.suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()


def make_folder(folder: Path) -> None:
    """Make the folder and its missing parents. Raises OSError when a folder is not safe."""
    missing = []
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = folder.parent
    check_folder(folder.absolute())
    for folder in reversed(missing):
        folder.mkdir(FOLDER_MODE)
        folder.chmod(FOLDER_MODE)  # regardless of the umask


def check_folder(folder: Path) -> None:
    """Raise OSError when a user other than root or the daemon's can replace an absolute path."""
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
    """Remove a stale socket, and return whether the path is free: no daemon listens there."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return True
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError("the path is not a socket")
    if found.st_uid not in _trusted():
        raise OSError("the path is another user's socket")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.setblocking(False)  # a daemon may be too busy to accept
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return True
        except BlockingIOError:
            pass
    return False
