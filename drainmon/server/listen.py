"""The address of the node's web page and metrics: HOST:PORT, and a socket that listens there."""

import socket
from dataclasses import dataclass
from ipaddress import ip_address

OFF = "off"
BACKLOG = 64

UNREAD_FOR = 30_000
"""Milliseconds for which a client may leave what it was sent unread or unacknowledged: then the
kernel ends the connection (TCP_USER_TIMEOUT, inherited by accepted sockets)."""


@dataclass(frozen=True)
class Address:
    """Where to listen; port 0 is any that is free. An IPv6 host has no brackets here."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Address | None:
    """`127.0.0.1:9935`, `[::1]:9935` or `node7:9935`; `off` or nothing: None.

    Raises ValueError "cannot listen on TEXT: why".
    """
    if text in ("", OFF):
        return None
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ValueError(
            f"cannot listen on {text!r}: it is not HOST:PORT (try 127.0.0.1:9935, or off)"
        )
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if bracketed != (":" in host) or (bracketed and not _is_ip(host)):
        raise ValueError(f"cannot listen on {text!r}: an IPv6 address is written [::1]:9935")
    return Address(host, int(port))


def bind(address: Address) -> socket.socket:
    """A listening TCP socket; on `::` for IPv4, too. Raises OSError "cannot listen on ADDRESS:
    why"."""
    try:
        ((family, _, _, _, where), *_) = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM
        )
        wildcard = family is socket.AF_INET6 and address.host == "::"
        listener = socket.create_server(
            where[:2],
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=wildcard and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        # create_server adds the address to the reason, getaddrinfo has numbers of its own.
        why = (error.strerror or str(error)).partition(" (while attempting")[0]
        raise OSError(f"cannot listen on {address}: {why}") from error
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_FOR)
    return listener


def bound(listener: socket.socket) -> Address:
    """Where it listens, the port that the kernel chose included."""
    host, port, *_ = listener.getsockname()
    return Address(host, port)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
