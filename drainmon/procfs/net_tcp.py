"""Sockets from /proc/<pid>/net/tcp and tcp6.

Format: Documentation/networking/proc_net_tcp.rst of the kernel, tcp4_seq_show in
net/ipv4/tcp_ipv4.c. Listeners come before every other socket, so that whoever looks
for them stops at the first row that is none: the cost does not grow with the number of
connections.

Whoever looks for connections takes the rows of the wanted ports as text, and parses few of them:
of 100,000 few have changed since the last look, and counting needs the states alone.
"""

import re
import sys
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_LISTEN = b"0A"
_MINISOCKETS = frozenset({3, 5, 6})  # SYN_RECV, FIN_WAIT2, TIME_WAIT

_MINISOCKET_FIELDS, _FIELDS = 11, 16

_MAPPED = bytes(10) + b"\xff\xff"

_CLOCK_TICK = 0.01  # USER_HZ is 100 wherever nginx runs
_CLOCK_MONOTONIC_COARSE = 6  # linux/time.h; ticks once a jiffy
_ATO_MIN = 4  # clock ticks: TCP_ATO_MIN of include/net/tcp.h
_ATO_EXACT = 170  # jiffies

SURE_RTO = range(
    _ATO_MIN, int(_ATO_EXACT * time.clock_getres(_CLOCK_MONOTONIC_COARSE) / _CLOCK_TICK)
)
"""Retransmission timeouts in clock ticks with which an `ato` of 0 says that nothing was received.

The kernel sets ato on the first byte (tcp_event_data_recv) and holds it between TCP_ATO_MIN and
rto. A smaller rto may round it to 0. A larger one may too: since Linux 6.7 the field has 8 bits,
and what is stored is less than 3/2 of rto jiffies. At 1000 jiffies a second that leaves nothing.
"""


class Row(NamedTuple):
    """A socket. Addresses are 16 bytes, IPv4 ones mapped; queues are in bytes. For a listener
    `rx_queue` is the length of its accept queue, and the queue's limit is not told.

    `minisocket`: a handshake, or what remains of a closed connection. `silent`: certainly nothing
    was ever received, Fast Open's data in the handshake apart. `fast_open`: a listener that takes
    such data.
    """

    local: bytes
    local_port: int
    remote: bytes
    remote_port: int
    state: int
    tx_queue: int
    rx_queue: int
    minisocket: bool
    silent: bool
    fast_open: bool


def find_rows(table: bytes | memoryview, ports: frozenset[int]) -> list[bytes]:
    """The rows on the local ports, as text without their number.

    Each row stands between two newlines; what does not is no row.
    """
    return _rows_on(ports).findall(table)


@lru_cache(maxsize=64)
def _rows_on(ports: frozenset[int]) -> re.Pattern[bytes]:
    wanted = b"|".join(b"%04X" % port for port in sorted(ports)) or b"(?!)"
    return re.compile(rb"\n[ 0-9]++: ([0-9A-F]++:(?:%b) .++)(?=\n)" % wanted)


class Columns(NamedTuple):
    """Where the first columns stand in a row's text: they have fixed widths."""

    local: slice
    ends: slice
    state: slice
    tx_queue: slice


def _columns(address: int) -> Columns:
    end = address + len(":0050")
    ends = 2 * end + len(" ")
    return Columns(slice(end), slice(ends), slice(ends + 1, ends + 3), slice(ends + 4, ends + 12))


_IPV4, _IPV6 = _columns(8), _columns(32)


def columns_of(text: bytes) -> Columns:
    """The columns of the table that a row of `find_rows` is from."""
    return _IPV4 if text[8:9] == b":" else _IPV6


def parse_local(text: bytes) -> tuple[bytes, int]:
    """The local address and port of the column of that name. Raises ValueError."""
    return _address(text), int(text[-4:], 16)


def parse_ends(local: bytes, remote: bytes) -> tuple[bytes, int, bytes, int] | None:
    """Addresses of 16 bytes and ports, of a row's first two fields; None when they are torn."""
    try:
        return _address(local), int(local[-4:], 16), _address(remote), int(remote[-4:], 16)
    except (ValueError, OverflowError):
        return None


def parse_row(text: bytes) -> Row | None:
    """One of `find_rows`; None when it is torn or not of this format."""
    fields = text.split()
    try:
        local, remote, state = fields[0], fields[1], int(fields[2], 16)
        tx_queue, _, rx_queue = fields[3].partition(b":")
        if len(local) != len(remote):
            return None
        ends = _address(local), int(local[-4:], 16), _address(remote), int(remote[-4:], 16)
        sizes = int(tx_queue, 16), int(rx_queue, 16)
        if len(fields) == _MINISOCKET_FIELDS and state in _MINISOCKETS:
            return Row(*ends, state, *sizes, True, False, False)
        if len(fields) < _FIELDS:
            return None
        rto, ato, quick = fields[11:14]
        silent = ato == quick == b"0" and not sizes[1] and int(rto) in SURE_RTO
    except (ValueError, IndexError, OverflowError):
        return None
    # A listener has the length of its Fast Open queue where others have ssthresh.
    fast_open = fields[2] == _LISTEN and fields[15] not in {b"0", b"-1"}
    return Row(*ends, state, *sizes, False, silent, fast_open)


def _address(text: bytes) -> bytes:
    # The kernel prints words of its own byte order; the port and its colon are 5 bytes.
    if len(text) == 8 + 5:
        return _MAPPED + int(text[:8], 16).to_bytes(4, sys.byteorder)
    if len(text) == 32 + 5:
        words = (int(text[at : at + 8], 16) for at in range(0, 32, 8))
        return b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    raise ValueError("neither IPv4 nor IPv6")


def parse_listeners(rows: Iterable[bytes]) -> Iterator[tuple[int, int]]:
    """(socket inode, local port) of each leading LISTEN row; the header row comes first.

    A row that cannot be read (torn, not of this format) is passed over.
    """
    for number, row in enumerate(rows):
        fields = row.split()
        if number == 0 or len(fields) < 10:
            continue
        if fields[3] != _LISTEN:
            return
        _, _, port = fields[1].rpartition(b":")
        try:
            yield int(fields[9]), int(port, 16)
        except ValueError:
            continue


def listeners(pid: int, root: Path = Path("/proc")) -> dict[int, int]:
    """Local port by socket inode of every listener in the netns of `pid`, IPv4 and IPv6.

    Raises OSError when the process is gone.
    """
    ports: dict[int, int] = {}
    for name in ("tcp", "tcp6"):
        try:
            with (root / str(pid) / "net" / name).open("rb") as file:
                ports.update(parse_listeners(file))
        except FileNotFoundError:
            if name == "tcp":  # a kernel without IPv6 has no tcp6
                raise
    return ports
