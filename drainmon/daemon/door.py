"""A network namespace with nginx, and the daemon's listen sockets in it."""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from drainmon.pods.folder_mount import folder_mount
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.procfs import process
from drainmon.server.in_pod_sockets import ListenAddress, listen

SOONEST, LATEST = 1.0, 60.0
"""Seconds until a failed socket is tried again: the first time, and, doubled each time, at most."""


@dataclass(frozen=True)
class Way:
    """A way in: the address of a listen socket, and the function that takes its connections with
    their namespace. `in_host`: also in the host's network namespace."""

    address: ListenAddress
    take: Callable[[int, socket.socket, float], None]
    in_host: bool


Attempt = tuple[dict[Way, socket.socket], dict[Way, OSError]]
"""The sockets that could be opened, and the errors of the others."""


@dataclass(eq=False)
class Door:
    """`processes` are nginx's; `keeper` is a pidfd of one of them, readable when that process ends.
    `left` are the ways whose address the pod itself uses. `logged` are the errors logged so far."""

    netns: int
    processes: tuple[NginxProcess, ...] = ()
    open: dict[Way, socket.socket] = field(default_factory=dict)
    left: set[Way] = field(default_factory=set)
    keeper: int | None = None
    logged: set[str] = field(default_factory=set)
    retry_at: float = 0.0
    _pause: float = SOONEST / 2

    def try_to_listen(self, ways: Iterable[Way], predecessor: int | None) -> Attempt:
        """Open sockets for `ways`. Blocks for a millisecond."""
        opened: dict[Way, socket.socket] = {}
        failed: dict[Way, OSError] = {}
        for way in ways:
            try:
                fd = self._open_netns()
            except OSError:  # the pod has ended
                return opened, failed
            try:
                opened[way] = listen(fd, way.address, predecessor)
            except OSError as error:
                failed[way] = error
            finally:
                os.close(fd)
        return opened, failed

    def _open_netns(self) -> int:
        """A descriptor of the namespace. Raises OSError when all processes have ended."""
        for nginx in self.processes:
            try:
                fd = process.open_netns(nginx.pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if os.fstat(fd).st_ino == self.netns:
                return fd
            os.close(fd)  # another process has the pid
        raise ProcessLookupError("the pod has ended")

    def put_off(self, latest: float = LATEST) -> None:
        """Schedule the next attempt, in `latest` seconds at most."""
        self._pause = min(2 * self._pause, latest)
        self.retry_at = time.monotonic() + self._pause

    def next_keeper(self) -> NginxProcess | None:
        """A running process of nginx."""
        return next((n for n in self.processes if process.lives(n.pid, n.started)), None)


def folder_of(pod: Pod, folder: Path) -> tuple[str, ...]:
    """The way in by the folder of the socket file, if nginx's container has mounted it."""
    for nginx in pod.processes:
        with contextlib.suppress(OSError):  # it has ended, or may not be looked at
            mount = folder_mount(nginx.pid, folder)
            if mount is None:
                return ()
            return ("folder (noexec)" if mount.noexec else "folder",)
    return ()
