"""The address of the web page and metrics (HOST:PORT), and a listen socket for it."""

import socket
from dataclasses import dataclass
from ipaddress import ip_address

OFF = "off"
BACKLOG = 64

UNREAD_FOR = 30_000
"""Milliseconds after which the kernel ends a connection whose client does not read or acknowledge
an answer (TCP_USER_TIMEOUT, inherited by accepted sockets)."""


@dataclass(frozen=True)
class Address:
    """An address to listen on; port 0 is any free port. An IPv6 host has no brackets here."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Address | None:
    """The address in `127.0.0.1:9935`, `[::1]:9935` or `node7:9935`; None for `off` or nothing.

    Raises ValueError "cannot listen on TEXT: why".
    """
    if text in ("", OFF):
        return None
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ValueError(f"cannot listen on {text!r}: not HOST:PORT (try 127.0.0.1:9935, or off)")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if bracketed != (":" in host) or (bracketed and not _is_ip(host)):
        raise ValueError(f"cannot listen on {text!r}: an IPv6 address is written [::1]:9935")
    return Address(host, int(port))


def bind(address: Address) -> socket.socket:
    """A TCP listen socket; on `::` for IPv4, too. Raises OSError "cannot listen on ADDRESS:
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
    """The address of a listen socket, with the port that the kernel chose."""
    host, port, *_ = listener.getsockname()
    return Address(host, port)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
