"""Parses the kernel's messages about TCP sockets: inet_diag_msg and tcp_info. Pure.

Sources: inet_sk_diag_fill and inet_twsk_diag_fill in net/ipv4/inet_diag.c, tcp_get_info in
net/ipv4/tcp.c. The layouts in linux/inet_diag.h and linux/tcp.h grow only at their ends.
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from socket import ntohs
from typing import NamedTuple

HEADER_SIZE = 16  # nlmsghdr
MESSAGE_SIZE = HEADER_SIZE + 72  # with inet_diag_msg, without attributes

TIMER_TIME_WAIT = 3
"""The timer of the remains of a closed connection, in FIN_WAIT2 or TIME_WAIT."""

_INET_DIAG_INFO = 2
_ATTRIBUTE = struct.Struct("=HH")

_TO_BYTES_RECEIVED = 136
_TO_DATA_SEGS_OUT = 160
_TO_BYTES_SENT = 208
"""Least length of a tcp_info with these fields: since kernel 4.1, 4.6, 4.19."""

_LONGEST = 8 + _TO_BYTES_SENT

SLACK = MESSAGE_SIZE + 1024
"""Bytes after the last message that a reader may touch."""

_MESSAGE = "=I12xBBBx2H16s16s4xQ4xII4xI"
_PLAIN = struct.Struct(_MESSAGE)
_PORT_AND_INODE = struct.Struct("=20xH62xI")

_WITHOUT_INFO = (0, 0, 0, 0, 0, 0, 0, 0, None, None)


class Part(NamedTuple):
    """Messages of one read: where each starts in a buffer, which has SLACK more bytes after the
    last message, and whether the table changed meanwhile."""

    buffer: bytearray
    starts: list[int]
    interrupted: bool


Fields = tuple[
    int, int, int, int, int, int, bytes, bytes, int, int, int, int,
    int, int, int, int, int, int, int, int, int | None, int | None,
]  # fmt: skip
"""length, family, state, timer, local port, remote port (both in network byte order), local and
remote address (16 bytes, of IPv4 the first four), cookie, rqueue, wqueue, inode; then of tcp_info:
its attribute's length and type, retransmits, unanswered probes, retransmission timeout in
microseconds; milliseconds since the last data went out, came in, and since the last ACK came; bytes
received, bytes sent.

Bytes are None where the kernel does not count them; bytes sent are segments with data where it
counts only those. A minisocket has no tcp_info: its attribute's length is 0. The cookie of a socket
is never reused. A listener's rqueue is the length of its accept queue, wqueue the queue's limit."""


class Reader:
    """Reads messages. It tries the last message's layout first: nearly all messages share one."""

    def __init__(self) -> None:
        self._layout = _Layout(MESSAGE_SIZE, 0)

    def read(self, part: Part) -> Iterator[Fields]:
        """The fields of each message of a part."""
        buffer = part.buffer
        layout = self._layout
        unpack, end, info_size = layout.unpack, layout.end, layout.info_size
        for start in part.starts:
            fields = unpack(buffer, start)
            if fields[0] >= end and fields[12] == info_size and fields[13] == _INET_DIAG_INFO:
                yield fields if layout.whole else layout.complete(fields)
                continue
            found = _find_info(buffer, start, fields[0])
            if found is None:
                yield _PLAIN.unpack_from(buffer, start) + _WITHOUT_INFO
                continue
            self._layout = layout = _layout(*found)
            unpack, end, info_size = layout.unpack, layout.end, layout.info_size
            fields = unpack(buffer, start)
            yield fields if layout.whole else layout.complete(fields)


def _find_info(buffer: bytearray, start: int, size: int) -> tuple[int, int] | None:
    """The offset of the attribute INET_DIAG_INFO in a message, and its length."""
    at = MESSAGE_SIZE
    while at + _ATTRIBUTE.size <= size:
        length, kind = _ATTRIBUTE.unpack_from(buffer, start + at)
        if length < _ATTRIBUTE.size or at + length > size:
            return None
        if kind == _INET_DIAG_INFO:
            return at, length
        at += (length + 3) & ~3
    return None


class _Layout:
    """The layout of messages with the attribute at this offset, with this length."""

    def __init__(self, at: int, info_size: int) -> None:
        have = info_size - _ATTRIBUTE.size
        self.info_size = info_size
        self.end = at + info_size if have >= 0 else MESSAGE_SIZE
        self._has_received = have >= _TO_BYTES_RECEIVED
        self._has_sent = have >= _TO_DATA_SEGS_OUT
        self.whole = self._has_received and self._has_sent
        # tcpi_retransmits, probes, rto; last_data_sent, last_data_recv, last_ack_recv;
        # bytes_received; bytes_sent, or data_segs_out.
        sent = "64xQ" if have >= _TO_BYTES_SENT else "20xI"
        form = f"{_MESSAGE}{at - MESSAGE_SIZE}xHH2xBB4xI32xI4xII68xQ{sent}"
        self.unpack = struct.Struct(form).unpack_from

    def complete(self, fields: Fields) -> Fields:
        """The fields without those beyond the attribute's end."""
        received = fields[-2] if self._has_received else None
        return (*fields[:-2], received, fields[-1] if self._has_sent else None)


_layout = lru_cache(maxsize=8)(_Layout)


def parse_inode_and_port(part: Part, start: int) -> tuple[int, int]:
    """A socket's inode and local port."""
    port, inode = _PORT_AND_INODE.unpack_from(part.buffer, start)
    return inode, ntohs(port)
