"""The standing of an accepted connection: whether the pod's end would lose data, or why not."""

from enum import StrEnum
from math import inf
from typing import NamedTuple

from drainmon.model.tcp import TcpState

UNUSED_AFTER = 2.0
"""Seconds after which a connection without a byte in either direction is a browser's pre-connect,
rather than one whose first byte is on its way. No signal makes nginx close it, so a drain must not
wait for it."""

LINGERING = 5.0
"""Seconds without a byte after which nginx stops reading an upload that it has answered early:
lingering_timeout."""

UNREACHABLE_AFTER = 10.0
"""Seconds of retransmissions in vain after which a peer counts as gone: five to six
retransmissions. A change of network takes less; public services always have peers that are gone."""

FIN_UNANSWERED = 3.0
"""The same when only the FIN is not acknowledged."""

HANDSHAKE_IN = 4096
HANDSHAKE_OUT = 16384
"""Most bytes in and out before the first request: TLS with a chain of certificates."""

HANDSHAKE_SPREAD = 1.0
"""Most seconds between the last byte in and the last one out of a handshake."""

_MAY_LOSE = frozenset(
    {
        TcpState.ESTABLISHED,
        TcpState.FIN_WAIT1,
        TcpState.CLOSING,
        TcpState.LAST_ACK,
        TcpState.CLOSE_WAIT,
    }
)
"""States in which the peer has not acknowledged our FIN, or none was sent. In CLOSE_WAIT the peer
has closed its half and still receives."""

_CLOSED_BY_US = frozenset({TcpState.FIN_WAIT1, TcpState.CLOSING, TcpState.LAST_ACK})


class Standing(StrEnum):
    IN_FLIGHT = "in flight"
    UNUSED = "unused"
    UNREACHABLE = "unreachable"
    FINISHED = "finished"
    PROBE = "probe"


class Socket(NamedTuple):
    """One accepted connection. Addresses are 16 bytes, IPv4 ones mapped; times are in seconds.

    `opened` is monotonic time, None for a connection older than the first snapshot. `idle_in` and
    `idle_out` count since the last byte in or out, or since it opened, `idle_ack` since the peer
    last acknowledged anything; `bytes_sent` includes retransmitted bytes. Each is None where the
    source does not know it. `unsent` bytes (a FIN counts as one) are not yet acknowledged, `unread`
    bytes not yet read by nginx. `minisocket`: not a connection, but an incomplete handshake
    (SYN_RECV) or the remains of a closed connection (FIN_WAIT2). `probe`: of one of the host's
    probing processes. `orphan`: no process holds it. `retransmits` counts since the last progress,
    `probes_out` probes of a closed window since the last answer; `rto` is the current
    retransmission timeout. `mptcp` is the state of its MPTCP connection, None for plain TCP."""

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
        """The state to judge by: MPTCP's, if any, whose subflows stay established after the
        close."""
        return self.state if self.mptcp is None else self.mptcp

    @property
    def unanswered(self) -> float:
        """Seconds, at least, for which the peer has not answered retransmissions."""
        if self.probes_out:
            waited = self.rto * (2.0**self.probes_out - 2)
        else:
            waited = self.rto * (1 - 2.0**-self.retransmits)
        return waited if self.idle_ack is None else min(waited, self.idle_ack)

    @property
    def seems_unrequested(self) -> bool:
        """Whether the connection seems to have carried a handshake (TLS, PROXY) only. A hint for
        people: a short request that waits for its answer looks the same."""
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
        """The standing; `unreachable_after` in seconds, infinity for never."""
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
        """Whether nginx has answered early and keeps reading, so that its client can finish its
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
        """Whether data would be lost if the pod ended now, by the usual limits."""
        return self.standing() is Standing.IN_FLIGHT
