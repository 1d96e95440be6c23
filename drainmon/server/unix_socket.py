"""The daemon's unix socket: made so that every pod can connect, and never in another's place."""

import contextlib
import socket
import stat
from pathlib import Path

FOLDER_MODE = 0o755
SOCKET_MODE = 0o666
BACKLOG = 4096


def bind(path: Path) -> socket.socket:
    """A listening socket at `path`, its folder made if need be, a stale socket replaced.

    Raises OSError "cannot listen on PATH: why", also when another daemon listens there or the path
    is something else than a socket.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        _make_room(path)
        listener.bind(str(path))
        path.chmod(SOCKET_MODE)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        why = error.strerror or str(error)
        raise OSError(error.errno, f"cannot listen on {path}: {why}") from error
    return listener


def remove(path: Path, inode: int) -> None:
    """Take the socket's name away, unless it is another daemon's by now: `inode` is what it had
    when it was bound. Call it before the listener closes; then another may take the place."""
    with contextlib.suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()


def _make_room(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError("there is something else than a socket")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError("another daemon listens there")
