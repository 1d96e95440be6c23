"""The exact list of a pod's sockets at one moment, and which of them are in flight."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv6Address
from typing import NamedTuple

from drainmon.model.counts import Counts
from drainmon.model.ignored import NOTHING, Ignored
from drainmon.model.standing import UNREACHABLE_AFTER, Socket, Standing
from drainmon.model.tcp import IN_FLIGHT, TcpState


class Listener(NamedTuple):
    """One listening socket with its accept queue: connections waiting, and how many may (None: the
    source cannot tell)."""

    local: bytes
    local_port: int
    unaccepted: int
    limit: int | None


@dataclass(frozen=True)
class Rules:
    """What a drain does not wait for: connections that it ignores, and peers that have left
    unanswered what the kernel sent again for so many seconds (infinity: never)."""

    ignored: Ignored = NOTHING
    unreachable_after: float = UNREACHABLE_AFTER


USUAL = Rules()


@dataclass(frozen=True)
class Tally:
    """A pod's sockets, counted, those of probes apart: connections by TCP state, those in flight by
    the state that they are judged by, minisockets by state, connections that are unused and whose
    peer is unreachable, those in flight that seem to have sent no request, and when the youngest
    connection and the youngest in flight were opened (None when that is not known). `elsewhere` are
    connections of another network namespace: in flight, and nothing else is known of them.
    `probes` are connections of probes."""

    connections: Mapping[TcpState, int] = field(default_factory=dict)
    flying: Mapping[TcpState, int] = field(default_factory=dict)
    minisockets: Mapping[TcpState, int] = field(default_factory=dict)
    unused: int = 0
    unreachable: int = 0
    unrequested: int = 0
    last_opened: float | None = None
    last_opened_in_flight: float | None = None
    elsewhere: int = 0
    probes: int = 0

    @property
    def in_flight(self) -> int:
        """How many connections still have something to lose."""
        return sum(self.flying.values()) + self.elsewhere

    @property
    def counted_in_flight(self) -> int:
        """The same as counters have it, which know of no use and no peer."""
        return sum(n for state, n in self.connections.items() if state in IN_FLIGHT)


def count(
    sockets: Iterable[Socket], unreachable_after: float = UNREACHABLE_AFTER, elsewhere: int = 0
) -> Tally:
    """The tally of a list of sockets."""
    connections: Counter[TcpState] = Counter()
    flying: Counter[TcpState] = Counter()
    minisockets: Counter[TcpState] = Counter()
    apart: Counter[Standing] = Counter()
    unrequested = probes = 0
    opened = youngest = float("-inf")
    for socket in sockets:
        if socket.probe:
            probes += not socket.minisocket
            continue
        if socket.opened is not None:
            opened = max(opened, socket.opened)
        if socket.minisocket:
            minisockets[socket.state] += 1
            continue
        connections[socket.state] += 1
        standing = socket.standing(unreachable_after)
        if standing is not Standing.IN_FLIGHT:
            apart[standing] += 1
            continue
        flying[socket.judged_state] += 1
        unrequested += socket.seems_unrequested
        if socket.opened is not None:
            youngest = max(youngest, socket.opened)
    return Tally(
        connections,
        flying,
        minisockets,
        apart[Standing.UNUSED],
        apart[Standing.UNREACHABLE],
        unrequested,
        known_time(opened),
        known_time(youngest),
        elsewhere,
        probes,
    )


def known_time(time: float) -> float | None:
    """The time, unless it is that of nothing (minus infinity)."""
    return None if time == float("-inf") else time


@dataclass(frozen=True)
class InFlight:
    """Connections in flight: how many is known at once, which ones when somebody asks."""

    sockets: Collection[Socket] = ()
    number: int = 0
    unreachable_after: float = UNREACHABLE_AFTER

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[Socket]:
        after = self.unreachable_after
        return (s for s in self.sockets if s.standing(after) is Standing.IN_FLIGHT)


@dataclass(frozen=True)
class Snapshot:
    """A pod's sockets on its nginx's ports. `taken` is the monotonic time at which the pass began,
    `finished` at which it ended. Where it was interrupted (`in_parts`) the kernel may have passed
    over a socket when another one next to it closed in that moment. `time_wait` counts what
    remains of closed connections in TIME_WAIT: there may be very many, and nothing in them.
    `elsewhere` counts connections that nginx holds in another network namespace. The figures are
    by `rules`. `around` is what counters said just before and just after the pass, None where the
    source counts by looking."""

    taken: float
    finished: float
    sockets: Collection[Socket] = ()
    listeners: tuple[Listener, ...] = ()
    in_parts: bool = False
    time_wait: int = 0
    elsewhere: int = 0
    rules: Rules = USUAL
    around: tuple[Counts, Counts] | None = None

    @cached_property
    def tally(self) -> Tally:
        """The sockets, counted."""
        return count(self.sockets, self.rules.unreachable_after, self.elsewhere)

    def by(self, rules: Rules) -> "Snapshot":
        """The same by other rules, had there never been the connections that they ignore."""
        if rules == self.rules:
            return self
        ignored = rules.ignored
        if not ignored:
            return replace(self, rules=rules)
        kept = (s for s in self.sockets if not ignored.covers(s.local_port, s.remote))
        return replace(self, sockets=tuple(kept), rules=rules)

    def by_state(self) -> Counter[TcpState]:
        """How many sockets are in each state, those of probes apart."""
        states = Counter(self.tally.connections)
        states.update(self.tally.minisockets)
        states[TcpState.TIME_WAIT] += self.time_wait
        return +states

    def in_flight(self) -> InFlight:
        """The connections that still have something to lose."""
        return InFlight(self.sockets, self.tally.in_flight, self.rules.unreachable_after)

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
