"""Snapshots: the exact list of a pod's sockets at one moment, and which are in flight."""

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
    """A listen socket with its accept queue: its length and its limit (None: unknown)."""

    local: bytes
    local_port: int
    unaccepted: int
    limit: int | None


@dataclass(frozen=True)
class Rules:
    """Connections that a drain does not wait for: ignored ones, and those whose peer has not
    answered the kernel's retransmissions for `unreachable_after` seconds (infinity: never)."""

    ignored: Ignored = NOTHING
    unreachable_after: float = UNREACHABLE_AFTER


USUAL = Rules()


@dataclass(frozen=True)
class Tally:
    """Numbers of a pod's sockets, without those of probes.

    connections: by TCP state. flying: those in flight, by the state that they are judged by.
    minisockets: by state. unused, unreachable: connections with that standing. unrequested: those
    in flight that seem to have sent no request. last_opened, last_opened_in_flight: when the
    youngest connection, and the youngest in flight, was opened; None when unknown. elsewhere:
    connections in another network namespace, in flight. probes: connections of probes."""

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
        """The number of connections in flight."""
        return sum(self.flying.values()) + self.elsewhere

    @property
    def counted_in_flight(self) -> int:
        """The same by counters, which know neither unused nor unreachable connections."""
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
    """The time; None for minus infinity."""
    return None if time == float("-inf") else time


@dataclass(frozen=True)
class InFlight:
    """Connections in flight: their number, and on iteration the connections."""

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
    """A pod's sockets on its nginx's ports. The pass began at `taken` and ended at `finished`
    (monotonic seconds). In a pass with interruptions (`in_parts`) the kernel may have skipped a
    socket when its neighbour closed. `time_wait` counts the remains of closed connections in
    TIME_WAIT, of which there may be very many. `elsewhere` counts connections that nginx holds in
    another network namespace. The numbers are by `rules`. `around` are the counters just before and
    just after the pass, None where the source counts by looking."""

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
        """The numbers of sockets."""
        return count(self.sockets, self.rules.unreachable_after, self.elsewhere)

    def by(self, rules: Rules) -> "Snapshot":
        """The same snapshot by other rules, without the connections that they ignore."""
        if rules == self.rules:
            return self
        ignored = rules.ignored
        if not ignored:
            return replace(self, rules=rules)
        kept = (s for s in self.sockets if not ignored.covers(s.local_port, s.remote))
        return replace(self, sockets=tuple(kept), rules=rules)

    def by_state(self) -> Counter[TcpState]:
        """The number of sockets in each state, without those of probes."""
        states = Counter(self.tally.connections)
        states.update(self.tally.minisockets)
        states[TcpState.TIME_WAIT] += self.time_wait
        return +states

    def in_flight(self) -> InFlight:
        """The connections in flight."""
        return InFlight(self.sockets, self.tally.in_flight, self.rules.unreachable_after)

    def last_opened(self) -> float | None:
        """When the youngest connection was opened, without those of probes; None when unknown."""
        return self.tally.last_opened


def format_address(address: bytes, port: int) -> str:
    """`192.0.2.1:80` or `[2001:db8::1]:80`, from 16 bytes; mapped IPv4 as IPv4."""
    ip = IPv6Address(address)
    return f"{ip.ipv4_mapped}:{port}" if ip.ipv4_mapped else f"[{ip}]:{port}"


def format_states(by_state: Mapping[TcpState, int]) -> dict[str, int]:
    """Names and numbers for people and JSON, busiest first, zeros left out."""
    busiest = sorted(by_state.items(), key=lambda item: (-item[1], item[0]))
    return {state.name: count for state, count in busiest if count}
