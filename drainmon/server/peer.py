"""Who calls: the kernel's word for it (SO_PEERCRED), never the caller's."""

import contextlib
import errno
import os
import signal
import socket
import struct
from dataclasses import dataclass, field
from typing import Protocol

from drainmon.pods.cgroup import Owner, parse_owner
from drainmon.procfs import process

_UCRED = struct.Struct("=iII")

SO_PEERPIDFD = 77  # asm-generic/socket.h, since kernel 6.5; not in Python's socket


class Connection(Protocol):
    """A connected unix socket, or asyncio's wrapper of one."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Caller:
    """The process at the other end of a unix socket. `started` in clock ticks since boot."""

    pid: int
    uid: int
    started: int
    netns: int
    owner: Owner
    connection: Connection = field(compare=False, repr=False)

    def verify(self) -> None:
        """Raise PermissionError when the process has ended, or is not in this namespace and
        cgroup any more."""
        if identify(self.connection) != self:
            raise PermissionError(f"cannot tell who calls: pid {self.pid} is another process now")


def identify(connection: Connection) -> Caller:
    """The process that connected the unix socket. Raises PermissionError when it has ended or
    cannot be seen."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(credentials)
    if pid == 0:
        raise PermissionError(
            "cannot tell who calls: its process is in a PID namespace that the daemon does not see"
            " (it needs hostPID)"
        )
    try:
        caller = Caller(
            pid,
            uid,
            process.start_time(pid),
            process.netns_inode(pid),
            parse_owner(process.cgroup(pid)),
            connection,
        )
    except OSError as error:
        raise PermissionError(f"cannot tell who calls: pid {pid}: {error.strerror}") from error
    if not _lives(connection):
        raise PermissionError(f"cannot tell who calls: pid {pid} is another process now")
    return caller


def _lives(connection: Connection) -> bool:
    """Whether the process that connected still has its pid, so that what was read under that
    number was about it. On kernels that cannot say, True."""
    try:
        (pidfd,) = struct.unpack("i", connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD, 4))
    except OSError as error:
        return error.errno == errno.ENOPROTOOPT
    try:
        signal.pidfd_send_signal(pidfd, 0)  # asks only
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    finally:
        os.close(pidfd)
    return True


def host_namespaces() -> frozenset[int]:
    """The network namespaces whose root is the host's: the daemon's own and that of pid 1."""
    namespaces = {process.netns_inode()}
    # Without the right to look at pid 1 the daemon's own is all there is.
    with contextlib.suppress(OSError):
        namespaces.add(process.netns_inode(1))
    return frozenset(namespaces)
