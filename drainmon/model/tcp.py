"""TCP states, and their meaning for a drain."""

from enum import IntEnum


class TcpState(IntEnum):
    """The kernel's numbers (include/net/tcp_states.h)."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NEW_SYN_RECV = 12

    # int's hash, in C: Enum hashes names, and every count is looked up by state.
    __hash__ = int.__hash__


IN_FLIGHT = frozenset(
    {
        TcpState.ESTABLISHED,
        TcpState.FIN_WAIT1,
        TcpState.FIN_WAIT2,
        TcpState.CLOSING,
        TcpState.LAST_ACK,
        TcpState.CLOSE_WAIT,
    }
)
"""States in which a connection may lose data, by counters. In FIN_WAIT2 the peer has
acknowledged everything, but nginx may still read the rest of an upload; model/standing.py judges
single connections."""
