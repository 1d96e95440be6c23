"""Rows of /proc/net/tcp as the kernel writes them (tcp4_seq_show and tcp6_seq_show)."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from hypothesis import strategies as st

HEADER = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"

Address = IPv4Address | IPv6Address
ZERO4 = IPv4Address(0)


@dataclass(frozen=True)
class Row:
    """One socket; `ato` None: a minisocket, whose row is shorter. `last` is ssthresh, or a
    listener's Fast Open queue limit."""

    local_port: int = 80
    state: int = 1
    local: Address = ZERO4
    remote: Address = ZERO4
    remote_port: int = 0
    tx_queue: int = 0
    rx_queue: int = 0
    inode: int = 4711
    rto: int = 20
    ato: int | None = 4
    retransmits: int = 0
    probes: int = 0
    last: int = -1

    @property
    def text(self) -> bytes:
        """The row without its number."""
        timer = "03:000013E0" if self.ato is None else "00:00000000"
        text = (
            f"{proc_address(self.local, self.local_port)} "
            f"{proc_address(self.remote, self.remote_port)} {self.state:02X} "
            f"{self.tx_queue:08X}:{self.rx_queue:08X} {timer} {self.retransmits:08X} {33:5d} "
            f"{self.probes:8d} {self.inode} 2 000000004f71fc9d"
        )
        if self.ato is not None:
            text += f" {self.rto} {self.ato} 0 10 {self.last}"
        return text.encode()

    def line(self, number: int = 0) -> bytes:
        """The row as a line: rows of tcp are padded, those of tcp6 are not."""
        line = b"%4d: %b" % (number, self.text)
        return (line if isinstance(self.local, IPv6Address) else line.ljust(149)) + b"\n"


def proc_address(address: Address, port: int) -> str:
    """The address in words of this machine's byte order."""
    words = struct.unpack(f"={len(address.packed) // 4}I", address.packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"


def packed(address: Address) -> bytes:
    """16 bytes, IPv4 mapped."""
    if isinstance(address, IPv4Address):
        return bytes(10) + b"\xff\xff" + address.packed
    return address.packed


def table(*rows: Row) -> bytes:
    return HEADER + b"".join(row.line(number) for number, row in enumerate(rows))


PORTS = st.integers(0, 65535)
QUEUES = st.integers(0, 2**32 - 1)
ENDS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)
ROWS = st.builds(
    lambda ends, **columns: Row(local=ends[0], remote=ends[1], **columns),
    ENDS,
    local_port=st.sampled_from([80, 443, 9999]),
    state=st.integers(1, 11),
    remote_port=PORTS,
    tx_queue=QUEUES,
    rx_queue=QUEUES,
    inode=st.integers(0, 2**64 - 1),
    rto=st.integers(0, 12000),
    retransmits=st.integers(0, 15),
    probes=st.integers(0, 15),
    ato=st.integers(0, 200),
)
