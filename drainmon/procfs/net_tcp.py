"""Sockets from /proc/<pid>/net/tcp and tcp6.

Format: Documentation/networking/proc_net_tcp.rst of the kernel, tcp4_seq_show in
net/ipv4/tcp_ipv4.c. Listeners come before every other socket, so that whoever looks
for them stops at the first row that is none: the cost does not grow with the number of
connections.

Whoever looks for connections takes whole rows of the wanted ports first, unparsed
(`find_rows`): 100,000 of them differ little from one look to the next.
"""

import re
import struct
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_LISTEN = b"0A"
_MINISOCKETS = frozenset({3, 5, 6})  # SYN_RECV, FIN_WAIT2, TIME_WAIT

_COLUMNS = re.compile(
    rb"([0-9A-F]{2}) ([0-9A-F]{8}):([0-9A-F]{8}) "  # st, tx_queue, rx_queue
    rb"[0-9A-F]{2}:[0-9A-F]{8,} [0-9A-F]{8} +[0-9]+ +[0-9]+ [0-9]+ "  # tr to inode
    rb"[0-9]+ [^ ]+"  # references, address
    rb"(?: ([0-9]{1,10}) ([0-9]{1,10}) ([0-9]+) [0-9]+ (-?[0-9]+)(?: .*)?| *)"  # rto to ssthresh
)

_MAPPED = bytes(10) + b"\xff\xff"
_WORDS = {8: struct.Struct("=I"), 32: struct.Struct("=4I")}

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


class Columns(NamedTuple):
    """What a row says behind its addresses. Queues are in bytes; for a listener `rx_queue` is the
    length of its accept queue, and the queue's limit is not told.

    `minisocket`: a handshake, or what remains of a closed connection. `silent`: certainly nothing
    was ever received, Fast Open's data in the handshake apart. `fast_open`: a listener that takes
    such data.
    """

    state: int
    tx_queue: int
    rx_queue: int
    minisocket: bool
    silent: bool
    fast_open: bool


def find_rows(table: bytes, ports: frozenset[int]) -> list[tuple[bytes, bytes]]:
    """(both addresses, the columns behind them) of each row on one of the local ports, as text.

    Each row stands between two newlines; what does not is no row.
    """
    return _rows_on(ports).findall(table)


@lru_cache(maxsize=64)
def _rows_on(ports: frozenset[int]) -> re.Pattern[bytes]:
    wanted = b"|".join(b"%04X" % port for port in sorted(ports)) or b"(?!)"
    return re.compile(
        rb"\n *[0-9]+: ([0-9A-F]+:(?:%b) [0-9A-F]+:[0-9A-F]{4}) ([0-9A-F]{2} .+)(?=\n)" % wanted
    )


def parse_columns(text: bytes) -> Columns | None:
    """None for a row that is torn or not of this format."""
    match = _COLUMNS.fullmatch(text)
    if match is None:
        return None
    state, tx_queue, rx_queue, rto, ato, quick, last = match.groups()
    number, unread = int(state, 16), int(rx_queue, 16)
    minisocket = rto is None
    if minisocket and number not in _MINISOCKETS:
        return None
    never = (ato, quick) == (b"0", b"0") and not unread and int(rto) in SURE_RTO
    listens = state == _LISTEN
    return Columns(
        number, int(tx_queue, 16), unread, minisocket, never, listens and last not in {b"0", b"-1"}
    )


def parse_ends(text: bytes) -> tuple[bytes, int, bytes, int] | None:
    """Local and remote address (16 bytes, IPv4 mapped) with their ports; None when torn."""
    local, _, remote = text.partition(b" ")
    address, port = local[:-5], local[-4:]
    remote_address, remote_port = remote[:-5], remote[-4:]
    if len(address) != len(remote_address) or len(address) not in _WORDS:
        return None
    return _address(address), int(port, 16), _address(remote_address), int(remote_port, 16)


@lru_cache(maxsize=4096)
def _address(text: bytes) -> bytes:
    # The kernel prints words of its own byte order.
    words = (int(text[at : at + 8], 16) for at in range(0, len(text), 8))
    packed = _WORDS[len(text)].pack(*words)
    return packed if len(packed) == 16 else _MAPPED + packed


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
