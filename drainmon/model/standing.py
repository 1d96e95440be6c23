"""How an accepted connection stands: whether the pod's end would lose something, or why not."""

from enum import StrEnum
from math import inf
from typing import NamedTuple

from drainmon.model.tcp import TcpState

UNUSED_AFTER = 2.0
"""Seconds after which a connection without a byte in either direction is a browser's pre-connect,
not one whose first byte is on its way: no signal makes nginx close it, so it must not hold a
drain."""

LINGERING = 5.0
"""Seconds without a byte after which nginx no longer reads what follows an early answer: its
lingering_timeout."""

UNREACHABLE_AFTER = 10.0
"""Seconds for which the kernel retransmits in vain until the peer is taken for gone: five to six
retransmissions. A change of network takes less; public services always have peers that are gone."""

FIN_UNANSWERED = 3.0
"""The same when every byte has arrived and only the FIN has not been acknowledged."""

HANDSHAKE_IN = 4096
HANDSHAKE_OUT = 16384
"""Bytes that come and go at most before the first request: TLS with a chain of certificates."""

HANDSHAKE_SPREAD = 1.0
"""Seconds between the last byte in and the last one out of a handshake at most."""

_MAY_LOSE = frozenset(
    {
        TcpState.ESTABLISHED,
        TcpState.FIN_WAIT1,
        TcpState.CLOSING,
        TcpState.LAST_ACK,
        TcpState.CLOSE_WAIT,
    }
)
"""States in which the peer has not acknowledged our FIN yet, or there is none. CLOSE_WAIT is a
client that has closed its half and still receives."""

_CLOSED_BY_US = frozenset({TcpState.FIN_WAIT1, TcpState.CLOSING, TcpState.LAST_ACK})


class Standing(StrEnum):
    IN_FLIGHT = "in flight"
    UNUSED = "unused"
    UNREACHABLE = "unreachable"
    FINISHED = "finished"
    PROBE = "probe"


class Socket(NamedTuple):
    """One accepted connection. Addresses are 16 bytes, IPv4 ones mapped; times are in seconds.

    `opened` is by the monotonic clock, None when it was opened before anybody looked;
    `idle_in` and `idle_out` count since the last byte in or out, or since it opened, `idle_ack`
    since the peer last acknowledged anything; `bytes_sent` counts retransmitted ones again. They
    are None where the source cannot tell. `unsent` bytes (a FIN counts as one) are not yet
    acknowledged, `unread` ones not yet read by nginx.
    `minisocket` marks what is not a connection: a handshake that is not complete (SYN_RECV), or
    what remains of a closed one (FIN_WAIT2). `probe` marks a connection of one of the host's
    probing processes, `orphan` one that no process holds any more. `retransmits` are those since
    the last progress, `probes_out` the probes of a closed window since the last answer, `rto` the
    present retransmission timeout. `mptcp` is the state of the MPTCP connection that this is a
    part of, None for plain TCP.
    """

    local: bytes
    local_port: int
    remote: bytes
    remote_port: int
    state: TcpState
    bytes_received: int | None
    unsent: int
    idle_in: float | None
    idle_out: float | None
    opened: float | None = None
    minisocket: bool = False
    probe: bool = False
    bytes_sent: int | None = None
    unread: int = 0
    idle_ack: float | None = None
    orphan: bool = False
    retransmits: int = 0
    probes_out: int = 0
    rto: float = 0.0
    mptcp: TcpState | None = None

    @property
    def judged_state(self) -> TcpState:
        """MPTCP's where there is one: its subflows stay established after the close."""
        return self.state if self.mptcp is None else self.mptcp

    @property
    def unanswered(self) -> float:
        """Seconds for which the peer has at least left unanswered what the kernel sent again."""
        if self.probes_out:
            waited = self.rto * (2.0**self.probes_out - 2)
        else:
            waited = self.rto * (1 - 2.0**-self.retransmits)
        return waited if self.idle_ack is None else min(waited, self.idle_ack)

    @property
    def seems_unrequested(self) -> bool:
        """Whether it looks as if nothing but a handshake (TLS, PROXY) had come and gone on it. A
        hint for people: a short request that waits for its answer looks the same."""
        if self.bytes_received is None or self.bytes_sent is None:
            return False
        if self.idle_in is None or self.idle_out is None:
            return False
        return (
            self.state is TcpState.ESTABLISHED
            and 0 < self.bytes_received <= HANDSHAKE_IN
            and self.bytes_sent <= HANDSHAKE_OUT
            and not self.unsent
            and min(self.idle_in, self.idle_out) > UNUSED_AFTER
            and abs(self.idle_in - self.idle_out) <= HANDSHAKE_SPREAD
        )

    def standing(self, unreachable_after: float = UNREACHABLE_AFTER) -> Standing:
        """How it stands; `unreachable_after` are seconds, infinity for never."""
        if self.probe:
            return Standing.PROBE
        if self.judged_state is TcpState.FIN_WAIT2:
            return Standing.IN_FLIGHT if self._lingers() else Standing.FINISHED
        if self.judged_state not in _MAY_LOSE or self.minisocket:
            return Standing.FINISHED
        if self._is_unused():
            return Standing.UNUSED
        if self.unsent and self.unanswered >= self._limit(unreachable_after):
            return Standing.UNREACHABLE
        return Standing.IN_FLIGHT

    def _lingers(self) -> bool:
        """Whether nginx has answered early and reads on, so that its client can finish its
        upload and then read the answer."""
        held = not (self.minisocket or self.orphan)
        return held and (self.idle_in is None or self.idle_in < LINGERING)

    def _is_unused(self) -> bool:
        return (
            self.judged_state is TcpState.ESTABLISHED
            and self.bytes_received == 0
            and self.bytes_sent == 0
            and not self.unsent
            and not self.unread
            and self.idle_in is not None
            and self.idle_in > UNUSED_AFTER
        )

    def _limit(self, unreachable_after: float) -> float:
        only_the_fin = self.unsent == 1 and self.judged_state in _CLOSED_BY_US
        if only_the_fin and unreachable_after < inf:
            return min(FIN_UNANSWERED, unreachable_after)
        return unreachable_after

    @property
    def in_flight(self) -> bool:
        """Whether something is lost when the pod goes now, by the usual limits."""
        return self.standing() is Standing.IN_FLIGHT
