"""Who calls: the kernel's word for it (SO_PEERCRED), never the caller's."""

import contextlib
import socket
import struct
from dataclasses import dataclass
from typing import Protocol

from drainmon.procfs import process

_UCRED = struct.Struct("=iII")


@dataclass(frozen=True)
class Caller:
    """The process at the other end of a unix socket. `started` in clock ticks since boot."""

    pid: int
    uid: int
    started: int
    netns: int

    def verify(self) -> None:
        """Raise PermissionError when the pid is not this process in this namespace any more."""
        if identify_process(self.pid, self.uid) != self:
            raise PermissionError(f"cannot tell who calls: pid {self.pid} is another process now")


def identify_process(pid: int, uid: int) -> Caller:
    """The caller of a pid. Raises PermissionError when it has ended or cannot be seen."""
    if pid == 0:
        raise PermissionError(
            "cannot tell who calls: its process is in a PID namespace that the daemon does not see"
            " (it needs hostPID)"
        )
    try:
        return Caller(pid, uid, process.start_time(pid), process.netns_inode(pid))
    except OSError as error:
        raise PermissionError(f"cannot tell who calls: pid {pid}: {error.strerror}") from error


class Connection(Protocol):
    """A connected unix socket, or asyncio's wrapper of one."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...


def identify(connection: Connection) -> Caller:
    """The process that connected the unix socket. Raises PermissionError when it is not known."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(credentials)
    return identify_process(pid, uid)


def host_namespaces() -> frozenset[int]:
    """The network namespaces whose root is the host's: the daemon's own and that of pid 1."""
    namespaces = {process.netns_inode()}
    # Without the right to look at pid 1 the daemon's own is all there is.
    with contextlib.suppress(OSError):
        namespaces.add(process.netns_inode(1))
    return frozenset(namespaces)
