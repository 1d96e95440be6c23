"""The identity of a caller, by the kernel (SO_PEERCRED), never by the caller's own words."""

import contextlib
import errno
import os
import signal
import socket
import struct
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from drainmon.pods.cgroup import Owner, parse_owner
from drainmon.procfs import process

_UCRED = struct.Struct("=iII")

_owner = lru_cache(maxsize=1024)(parse_owner)

SO_PEERPIDFD = 77  # asm-generic/socket.h, since kernel 6.5; not in Python's socket

_REAPED = frozenset({errno.EINVAL, errno.ESRCH})
"""SO_PEERPIDFD's errors for a process that has been reaped: EINVAL, since Linux 6.15 ESRCH. Since
6.16 it returns a descriptor all the same."""


class Connection(Protocol):
    """A connected unix socket, or asyncio's wrapper of one."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Caller:
    """The process that connected to a unix socket. `started` is in clock ticks since boot; `uid` is
    that of the daemon's user namespace, not of the caller's."""

    pid: int
    uid: int
    started: int
    netns: int
    owner: Owner
    connection: Connection = field(compare=False, repr=False)

    @property
    def key(self) -> Hashable:
        """What the callers of one pod have in common: the cgroup, which no process of a pod can
        leave; outside of containers the namespace."""
        return self.owner.root if self.owner.contained else self.netns

    def verify(self) -> None:
        """Raise PermissionError when the process has ended or is in another namespace now; another
        OSError when that cannot be checked at the moment."""
        with asking_of(self.pid):
            same = (
                process.start_time(self.pid) == self.started
                and process.netns_inode(self.pid) == self.netns
            )
            if not same:
                raise PermissionError(errno.EPERM, "it is another process now")
            _check_alive(self.connection)


def process_of(connection: Connection) -> int:
    """The pid of the process that connected, which may have ended; 0 when it is not visible."""
    return _credentials(connection)[0]


def _credentials(connection: Connection) -> tuple[int, int]:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(credentials)
    return pid, uid


def identify(connection: Connection) -> Caller:
    """The process that connected the unix socket. Raises PermissionError when it has ended or is
    not visible; another OSError when it cannot be identified at the moment."""
    pid, uid = _credentials(connection)
    if pid == 0:
        raise PermissionError(
            "cannot identify the caller: its PID namespace is not visible (is hostPID missing?)"
        )
    with asking_of(pid):
        caller = Caller(
            pid,
            uid,
            process.start_time(pid),
            process.netns_inode(pid),
            _owner(process.cgroup(pid)),
            connection,
        )
        _check_alive(connection)
    return caller


@contextlib.contextmanager
def asking_of(pid: int) -> Iterator[None]:
    """Convert errors of reading a process into OSError "cannot identify the caller: why": a
    PermissionError when the process has ended or is not visible, which is permanent. Any other
    error, such as a lack of descriptors, is the daemon's and temporary."""
    try:
        yield
    except (FileNotFoundError, ProcessLookupError, PermissionError) as error:
        raise PermissionError(f"cannot identify the caller: pid {pid}: {error.strerror}") from error
    except OSError as error:
        raise OSError(f"cannot identify the caller: {error.strerror}") from error


def _check_alive(connection: Connection) -> None:
    """Raise ProcessLookupError unless the process that connected still has its pid, so that what
    was read under that number is about it. Kernels before 6.5 cannot check that."""
    try:
        (pidfd,) = struct.unpack("i", connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD, 4))
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT:
            return
        if error.errno in _REAPED:
            raise _ended() from error
        raise
    try:
        signal.pidfd_send_signal(pidfd, 0)  # checks only
    except ProcessLookupError as error:
        raise _ended() from error
    except PermissionError:
        return
    finally:
        os.close(pidfd)


def _ended() -> ProcessLookupError:
    return ProcessLookupError(errno.ESRCH, "it has ended")
