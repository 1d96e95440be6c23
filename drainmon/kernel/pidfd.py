"""Copies another process's socket by pidfd_getfd(2): it stays open when that process ends."""

import ctypes
import os
import socket
from pathlib import Path

PROC = Path("/proc")

_PIDFD_GETFD = 438  # asm-generic/unistd.h, of every architecture; Linux 5.6

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def socket_of(pid: int, inode: int) -> socket.socket | None:
    """A copy of the process's descriptor of the socket with this inode; None when the process holds
    no such socket. Requires CAP_SYS_PTRACE and Linux 5.6. Raises OSError "cannot take a socket of
    PID: why"."""
    try:
        fd = _find(pid, inode)
        return None if fd is None else socket.socket(fileno=_copy(pid, fd))
    except OSError as error:
        why = f"cannot take a socket of pid {pid}: {error.strerror}"
        raise OSError(error.errno, why) from error


def _find(pid: int, inode: int) -> int | None:
    wanted = f"socket:[{inode}]"
    folder = PROC / str(pid) / "fd"
    for name in os.listdir(folder):  # noqa: PTH208 a daemon may have thousands
        try:
            if os.readlink(f"{folder}/{name}") == wanted:  # noqa: PTH115
                return int(name)
        except FileNotFoundError:  # closed since the folder was read
            continue
    return None


def _copy(pid: int, fd: int) -> int:
    pidfd = os.pidfd_open(pid)
    try:
        copy = _libc.syscall(
            ctypes.c_long(_PIDFD_GETFD), ctypes.c_int(pidfd), ctypes.c_int(fd), ctypes.c_uint(0)
        )
        if copy < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return int(copy)
    finally:
        os.close(pidfd)
