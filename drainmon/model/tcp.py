"""TCP states and what they mean for a drain."""

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

    # The number's own, in C: Enum hashes names, and every count is looked up by state.
    __hash__ = int.__hash__


IN_FLIGHT = frozenset(
    {
        TcpState.ESTABLISHED,
        TcpState.FIN_WAIT1,
        TcpState.CLOSING,
        TcpState.LAST_ACK,
        TcpState.CLOSE_WAIT,
    }
)
"""States in which the peer may still miss something: it has not acknowledged our FIN yet, or
there is none. In FIN_WAIT2 and TIME_WAIT it has acknowledged all; CLOSE_WAIT is a client that has
closed its half and still receives."""
