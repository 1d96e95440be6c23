"""The exact list of a pod's sockets at one moment, and which of them are in flight."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import NamedTuple

from drainmon.model.tcp import IN_FLIGHT, TcpState

NEVER_USED_AFTER = 2.0
"""Seconds after which a connection without a byte received is a browser's pre-connect, not a
request on its way: no signal makes nginx close it, so it must not hold a drain."""


class Socket(NamedTuple):
    """One accepted connection. Addresses are 16 bytes, IPv4 ones mapped; times are in seconds.

    `opened` is by the monotonic clock, None when it was opened before anybody looked;
    `idle_in` and `idle_out` count since the last byte in or out, or since it opened.
    `minisocket` marks what is not a connection: a handshake that is not complete (SYN_RECV), or
    what remains of a closed one (FIN_WAIT2).
    """

    local: bytes
    local_port: int
    remote: bytes
    remote_port: int
    state: TcpState
    bytes_received: int
    unsent: int
    idle_in: float
    idle_out: float
    opened: float | None = None
    minisocket: bool = False

    @property
    def never_used(self) -> bool:
        """Established, silent in both directions, and for too long to be a request on its way."""
        return (
            self.state is TcpState.ESTABLISHED
            and self.bytes_received == 0
            and self.unsent == 0
            and self.idle_in > NEVER_USED_AFTER
        )

    @property
    def in_flight(self) -> bool:
        """Whether something is lost when the pod goes now."""
        return self.state in IN_FLIGHT and not self.minisocket and not self.never_used


class Listener(NamedTuple):
    """One listening socket with its accept queue: connections waiting, and how many may (None: the
    source cannot tell)."""

    local: bytes
    local_port: int
    unaccepted: int
    limit: int | None


@dataclass(frozen=True)
class Snapshot:
    """A pod's sockets on its nginx's ports. `taken` is the monotonic time at which the pass began,
    `finished` at which it ended. Where it was interrupted (`in_parts`) the kernel may have passed
    over a socket when another one next to it closed in that moment. `time_wait` counts what
    remains of closed connections in TIME_WAIT: there may be very many, and nothing in them."""

    taken: float
    finished: float
    sockets: tuple[Socket, ...] = ()
    listeners: tuple[Listener, ...] = ()
    in_parts: bool = False
    time_wait: int = 0

    def by_state(self) -> Counter[TcpState]:
        """How many sockets are in each state."""
        states = Counter(socket.state for socket in self.sockets)
        states[TcpState.TIME_WAIT] += self.time_wait
        return +states

    def in_flight(self) -> tuple[Socket, ...]:
        """The connections that still have something to lose."""
        return tuple(socket for socket in self.sockets if socket.in_flight)

    def last_opened(self) -> float | None:
        """When the youngest connection of the list was opened, None when that is not known."""
        return max((s.opened for s in self.sockets if s.opened is not None), default=None)


def format_address(address: bytes, port: int) -> str:
    """`192.0.2.1:80` or `[2001:db8::1]:80`, of 16 bytes; mapped IPv4 as IPv4."""
    ip = IPv6Address(address)
    return f"{ip.ipv4_mapped}:{port}" if ip.ipv4_mapped else f"[{ip}]:{port}"


def format_states(by_state: Mapping[TcpState, int]) -> dict[str, int]:
    """Names and numbers for people and JSON, busiest first, zeros left out."""
    busiest = sorted(by_state.items(), key=lambda item: (-item[1], item[0]))
    return {state.name: count for state, count in busiest if count}
