"""Listen sockets in a pod's network namespace: an abstract unix socket, which only processes of
that namespace can reach, and a TCP port."""

import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass

from drainmon.kernel import netns, sock_diag, unix_diag
from drainmon.kernel.pidfd import socket_of

BACKLOG = 1024
PORT_BACKLOG = 64

GONE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3_000),
)
"""Options that end a connection whose peer does not answer for 3 s, and that accepted connections
inherit. The peer is the node: it does not answer when the pod's interface is gone, and then no
connection must keep the namespace alive."""

_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class Taken(OSError):
    """Another process listens at the address."""


@dataclass(frozen=True)
class AbstractName:
    """The name of an abstract unix socket."""

    name: str

    def __str__(self) -> str:
        return f"@{self.name}"

    @property
    def _address(self) -> bytes:
        return b"\0" + self.name.encode()

    def bind(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(self._address)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
        return listener

    def holder(self) -> int | None:
        """The inode of the socket with this name in the calling thread's namespace."""
        return unix_diag.listener_at(self._address)


@dataclass(frozen=True)
class Port:
    """A TCP port on every address, IPv4 and IPv6."""

    number: int

    def __str__(self) -> str:
        return f"port {self.number}"

    def bind(self) -> socket.socket:
        try:
            return self._bind(socket.AF_INET6, "::")
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise
        return self._bind(socket.AF_INET, "0.0.0.0")  # noqa: S104 callers are checked

    def _bind(self, family: socket.AddressFamily, everywhere: str) -> socket.socket:
        # Not create_server: without IPv6, and without descriptors, it raises ValueError.
        listener = socket.socket(family)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            for option in GONE:
                listener.setsockopt(*option)
            listener.bind((everywhere, self.number))
            listener.listen(PORT_BACKLOG)
        except BaseException:
            listener.close()
            raise
        return listener

    def holder(self) -> int | None:
        """The inode of a socket that listens on the port in the calling thread's namespace."""
        listeners = sock_diag.listeners()
        return next((inode for inode, port in listeners.items() if port == self.number), None)


ListenAddress = AbstractName | Port


def listen(fd: int, address: ListenAddress, predecessor: int | None) -> socket.socket:
    """A socket that listens at `address` in the network namespace open as `fd`. If the process
    `predecessor` listens there, a copy of its socket. Raises Taken when another process listens
    there, OSError "cannot listen on ADDRESS: why"."""
    try:
        return netns.call_in(fd, address.bind)
    except OSError as error:
        why = f"cannot listen on {address}: {error.strerror or error}"
        if error.errno != errno.EADDRINUSE:
            raise OSError(error.errno, why) from error
    listener = _take(fd, address.holder, predecessor) if predecessor else None
    if listener is None:
        raise Taken(errno.EADDRINUSE, f"cannot listen on {address}: another process does")
    return listener


def _take(fd: int, holder: Callable[[], int | None], predecessor: int) -> socket.socket | None:
    inode = netns.call_in(fd, holder)
    return None if inode is None else socket_of(predecessor, inode)
