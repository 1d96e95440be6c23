"""Parses sockets in /proc/<pid>/net/tcp and tcp6.

Format: Documentation/networking/proc_net_tcp.rst of the kernel, tcp4_seq_show in
net/ipv4/tcp_ipv4.c. Listeners come before all other sockets, so that reading them costs the same
for any number of connections."""

import re
import sys
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_LISTEN, _TIME_WAIT = b"0A", b"06"
_MINISOCKETS = frozenset({3, 5, 6})  # SYN_RECV, FIN_WAIT2, TIME_WAIT

_MINISOCKET_FIELDS, _FIELDS = 11, 16

MAPPED = bytes(10) + b"\xff\xff"
"""The bytes before an IPv4 address that is mapped to IPv6."""

_CLOCK_TICK = 0.01  # USER_HZ is 100 wherever nginx runs


class Row(NamedTuple):
    """A socket. Addresses are 16 bytes, IPv4 ones mapped; queues are in bytes. For a listener
    `rx_queue` is the length of its accept queue, whose limit the table lacks.

    `retransmits` counts since the last progress, `probes` unanswered ones of a closed window; `rto`
    is in seconds. `minisocket`: a handshake, or the remains of a connection.
    """

    local: bytes
    local_port: int
    remote: bytes
    remote_port: int
    state: int
    tx_queue: int
    rx_queue: int
    minisocket: bool
    retransmits: int
    probes: int
    rto: float
    inode: int


def find_rows(table: bytes | memoryview, ports: frozenset[int]) -> list[bytes]:
    """The rows on the local ports, as text without their number. Only text between two newlines is
    a row."""
    return _rows_on(ports).findall(table)


@lru_cache(maxsize=64)
def _rows_on(ports: frozenset[int]) -> re.Pattern[bytes]:
    wanted = b"|".join(b"%04X" % port for port in sorted(ports)) or b"(?!)"
    return re.compile(rb"\n[ 0-9]++: ([0-9A-F]++:(?:%b) .++)(?=\n)" % wanted)


def parse_row(text: bytes) -> Row | None:
    """A row of `find_rows`; None when it is torn or malformed."""
    fields = text.split()
    try:
        local, remote, state = fields[0], fields[1], int(fields[2], 16)
        tx_queue, _, rx_queue = fields[3].partition(b":")
        if len(local) != len(remote):
            return None
        ends = _address(local), int(local[-4:], 16), _address(remote), int(remote[-4:], 16)
        sizes = int(tx_queue, 16), int(rx_queue, 16)
        if len(fields) == _MINISOCKET_FIELDS and state in _MINISOCKETS:
            return Row(*ends, state, *sizes, True, 0, 0, 0.0, 0)
        if len(fields) < _FIELDS:
            return None
        again, probes, rto = int(fields[5], 16), int(fields[7]), int(fields[11]) * _CLOCK_TICK
        return Row(*ends, state, *sizes, False, again, probes, rto, int(fields[8]))
    except (ValueError, IndexError, OverflowError):
        return None


def _address(text: bytes) -> bytes:
    # The kernel prints words of its own byte order; the port and its colon are 5 bytes.
    if len(text) == 8 + 5:
        return MAPPED + int(text[:8], 16).to_bytes(4, sys.byteorder)
    if len(text) == 32 + 5:
        words = (int(text[at : at + 8], 16) for at in range(0, 32, 8))
        return b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    raise ValueError("neither IPv4 nor IPv6")


def parse_listeners(rows: Iterable[bytes]) -> Iterator[tuple[int, bytes, int]]:
    """(socket inode, local address, local port) of each leading LISTEN row after the header. The
    address is in the form of the row, longer for IPv6. Malformed rows are skipped."""
    for number, row in enumerate(rows):
        fields = row.split()
        if number == 0 or len(fields) < 10:
            continue
        if fields[3] != _LISTEN:
            return
        address, _, port = fields[1].rpartition(b":")
        try:
            yield int(fields[9]), address, int(port, 16)
        except ValueError:
            continue


def listeners(pid: int, root: Path = Path("/proc")) -> dict[int, int]:
    """Local port by socket inode of every listener in the netns of `pid`, IPv4 and IPv6. Raises
    OSError when the process has ended."""
    return {inode: port for inode, _, port in _listening(pid, root)}


def listen_together(pid: int, held: Set[int], root: Path = Path("/proc")) -> bool:
    """Whether two of the sockets (inodes) listen at the same address and port (SO_REUSEPORT).
    Raises OSError when the process has ended."""
    at = [(address, port) for inode, address, port in _listening(pid, root) if inode in held]
    return len(set(at)) < len(at)


def _listening(pid: int, root: Path) -> list[tuple[int, bytes, int]]:
    found: list[tuple[int, bytes, int]] = []
    for name in ("tcp", "tcp6"):
        try:
            with (root / str(pid) / "net" / name).open("rb") as file:
                found += parse_listeners(file)
        except FileNotFoundError:
            if name == "tcp":  # a kernel without IPv6 has no tcp6
                raise
    return found


def connections(pid: int, root: Path = Path("/proc")) -> list[tuple[int, int]]:
    """Socket inode (0: no process holds it) and local port of every socket in the netns of `pid`
    that neither listens nor is in TIME_WAIT. Raises OSError when the process has ended."""
    found = []
    for name in ("tcp", "tcp6"):
        try:
            text = (root / str(pid) / "net" / name).read_bytes()
        except FileNotFoundError:
            if name == "tcp":  # a kernel without IPv6 has no tcp6
                raise
            continue
        for fields in map(bytes.split, text.split(b"\n")[1:]):
            if len(fields) >= 10 and fields[3] not in {_LISTEN, _TIME_WAIT}:
                with suppress(ValueError):
                    found.append((int(fields[9]), int(fields[1][-4:], 16)))
    return found
