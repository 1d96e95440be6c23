"""The exact list of a pod's sockets at one moment, and which of them are in flight."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv6Address
from typing import NamedTuple

from drainmon.model.ignored import Ignored
from drainmon.model.tcp import IN_FLIGHT, TcpState

NEVER_USED_AFTER = 2.0
"""Seconds after which a connection without a byte received is a browser's pre-connect, not a
request on its way: no signal makes nginx close it, so it must not hold a drain."""


class Socket(NamedTuple):
    """One accepted connection. Addresses are 16 bytes, IPv4 ones mapped; times are in seconds.

    `opened` is by the monotonic clock, None when it was opened before anybody looked;
    `idle_in` and `idle_out` count since the last byte in or out, or since it opened.
    `minisocket` marks what is not a connection: a handshake that is not complete (SYN_RECV), or
    what remains of a closed one (FIN_WAIT2). `probe` marks a connection of one of the host's
    probing processes.
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
    probe: bool = False

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
        return (
            self.state in IN_FLIGHT
            and not self.minisocket
            and not self.never_used
            and not self.probe
        )


class Listener(NamedTuple):
    """One listening socket with its accept queue: connections waiting, and how many may (None: the
    source cannot tell)."""

    local: bytes
    local_port: int
    unaccepted: int
    limit: int | None


@dataclass(frozen=True)
class Tally:
    """A pod's sockets, counted, those of probes apart: connections by state, minisockets by state,
    the connections that were never used, and when the youngest connection and the youngest in
    flight were opened (None when that is not known)."""

    connections: Mapping[TcpState, int] = field(default_factory=dict)
    minisockets: Mapping[TcpState, int] = field(default_factory=dict)
    never_used: int = 0
    last_opened: float | None = None
    last_opened_in_flight: float | None = None

    def in_flight_by_state(self) -> Counter[TcpState]:
        """The connections that still have something to lose, by state."""
        flying = Counter({s: n for s, n in self.connections.items() if s in IN_FLIGHT})
        flying[TcpState.ESTABLISHED] -= self.never_used
        return +flying

    @property
    def in_flight(self) -> int:
        """How many connections still have something to lose."""
        return self.in_flight_by_state().total()

    @property
    def counted_in_flight(self) -> int:
        """The same as counters have it, which know of no use."""
        return self.in_flight + self.never_used


def count(sockets: Iterable[Socket]) -> Tally:
    """The tally of a list of sockets."""
    connections: Counter[TcpState] = Counter()
    minisockets: Counter[TcpState] = Counter()
    never_used = 0
    opened = youngest = float("-inf")
    for socket in sockets:
        if socket.probe:
            continue
        if socket.opened is not None:
            opened = max(opened, socket.opened)
        if socket.minisocket:
            minisockets[socket.state] += 1
            continue
        connections[socket.state] += 1
        if socket.never_used:
            never_used += 1
        elif socket.opened is not None and socket.state in IN_FLIGHT:
            youngest = max(youngest, socket.opened)
    return Tally(connections, minisockets, never_used, known_time(opened), known_time(youngest))


def known_time(time: float) -> float | None:
    """The time, unless it is that of nothing (minus infinity)."""
    return None if time == float("-inf") else time


@dataclass(frozen=True)
class InFlight:
    """Connections in flight: how many is known at once, which ones when somebody asks."""

    sockets: Collection[Socket] = ()
    number: int = 0

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[Socket]:
        return (socket for socket in self.sockets if socket.in_flight)


@dataclass(frozen=True)
class Snapshot:
    """A pod's sockets on its nginx's ports. `taken` is the monotonic time at which the pass began,
    `finished` at which it ended. Where it was interrupted (`in_parts`) the kernel may have passed
    over a socket when another one next to it closed in that moment. `time_wait` counts what
    remains of closed connections in TIME_WAIT: there may be very many, and nothing in them.
    `counted` is the tally of the sockets where the source has it without making a list of them."""

    taken: float
    finished: float
    sockets: Collection[Socket] = ()
    listeners: tuple[Listener, ...] = ()
    in_parts: bool = False
    time_wait: int = 0
    counted: Tally | None = None

    @cached_property
    def tally(self) -> Tally:
        """The sockets, counted."""
        return self.counted or count(self.sockets)

    def without(self, ignored: Ignored) -> "Snapshot":
        """The same, had there never been the connections that are ignored."""
        if not ignored:
            return self
        kept = (s for s in self.sockets if not ignored.covers(s.local_port, s.remote))
        return replace(self, sockets=tuple(kept), counted=None)

    def by_state(self) -> Counter[TcpState]:
        """How many sockets are in each state, those of probes apart."""
        states = Counter(self.tally.connections)
        states.update(self.tally.minisockets)
        states[TcpState.TIME_WAIT] += self.time_wait
        return +states

    def in_flight(self) -> InFlight:
        """The connections that still have something to lose."""
        return InFlight(self.sockets, self.tally.in_flight)

    def last_opened(self) -> float | None:
        """When the youngest connection of the list was opened, those of probes apart. None when
        that is not known."""
        return self.tally.last_opened


def format_address(address: bytes, port: int) -> str:
    """`192.0.2.1:80` or `[2001:db8::1]:80`, of 16 bytes; mapped IPv4 as IPv4."""
    ip = IPv6Address(address)
    return f"{ip.ipv4_mapped}:{port}" if ip.ipv4_mapped else f"[{ip}]:{port}"


def format_states(by_state: Mapping[TcpState, int]) -> dict[str, int]:
    """Names and numbers for people and JSON, busiest first, zeros left out."""
    busiest = sorted(by_state.items(), key=lambda item: (-item[1], item[0]))
    return {state.name: count for state, count in busiest if count}
