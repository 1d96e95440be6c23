"""/proc/net as the kernel writes it, truncated, and hostile."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.client.library import Library
from tests.unit.proc_net import HEADER, ZERO4, Address, proc_address

LISTEN, TIME_WAIT = 10, 6
IN_FLIGHT = {1, 4, 8, 9, 11}
FIN_WAIT2 = 5

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6)


@dataclass(frozen=True)
class Row:
    """One socket, written as tcp4_seq_show and tcp6_seq_show of the kernel do."""

    local_port: int = 80
    state: int = 1
    inode: int = 0
    local: Address = ZERO4
    remote: Address = ZERO4
    remote_port: int = 0
    unsent: int = 0
    unread: int = 0
    retransmits: int = 0
    probes: int = 0
    end: str = " 100 0 0 10 0"
    number: int = field(default=0, compare=False)

    def line(self) -> bytes:
        text = (
            f"{self.number:4d}: {proc_address(self.local, self.local_port)} "
            f"{proc_address(self.remote, self.remote_port)} {self.state:02X} "
            f"{self.unsent:08X}:{self.unread:08X} {0:02X}:{0:08X} {self.retransmits:08X} {33:5d} "
            f"{self.probes:8d} {self.inode} 2 000000004f71fc9d{self.end}"
        )
        return text.ljust(149).encode() + b"\n"


PORTS = st.integers(0, 65535)
ROWS = st.builds(
    Row,
    local_port=st.sampled_from([80, 443, 9999]),
    state=st.integers(1, 12),
    inode=st.sampled_from([0, 7, 8]),
    remote=V4,
    remote_port=PORTS,
    number=st.integers(0, 200_000),
)


def table(rows: list[Row]) -> bytes:
    """The table in the kernel's order: listeners first."""
    ordered = sorted(rows, key=lambda row: row.state != LISTEN)
    return HEADER + b"".join(row.line() for row in ordered)


def expected_in_flight(rows: list[Row], listener: int = 0) -> int:
    ports = {
        row.local_port for row in rows
        if row.state == LISTEN and (not listener or row.inode == listener)
    }  # fmt: skip
    return sum(
        row.local_port in ports
        and (row.state in IN_FLIGHT or (row.state == FIN_WAIT2 and row.inode != 0))
        for row in rows
    )


def printed(address: Address, port: int) -> str:
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return f"{mapped}:{port}" if mapped else f"[{address.compressed}]:{port}"
    return f"{address}:{port}"


@given(
    local=V4, remote=V4, local_port=PORTS, remote_port=PORTS, state=st.integers(0, 255),
    unsent=st.integers(0, 2**32 - 1), unread=st.integers(0, 2**32 - 1),
    inode=st.integers(0, 2**64 - 1), retransmits=st.integers(0, 255), probes=st.integers(0, 255),
    rto=st.integers(0, 12_000),
)  # fmt: skip
def test_every_column_of_an_ipv4_row_is_parsed(
    library: Library, local: Address, remote: Address, local_port: int, remote_port: int,
    state: int, unsent: int, unread: int, inode: int, retransmits: int, probes: int, rto: int,
) -> None:  # fmt: skip
    end = f" {rto} 4 0 10 -1"
    row = Row(local_port, state, inode, local, remote, remote_port, unsent, unread, retransmits,
              probes, end)  # fmt: skip
    assert library.row(row.line().rstrip(b"\n")) == (
        f"{local}:{local_port} {remote}:{remote_port} {state} {unsent} {unread} {inode} "
        f"{retransmits} {probes} {rto * 10}"
    )


@pytest.mark.parametrize("end", ["", " 20", " x 0 0", " 99999999999999999999 0 0", " 1000001 0 0"])
def test_a_time_wait_row_has_no_timeout(library: Library, end: str) -> None:
    said = library.row(Row(state=TIME_WAIT, end=end).line().rstrip(b"\n"))
    assert said is not None
    assert said.endswith(f" {TIME_WAIT} 0 0 0 0 0 {200 if end == ' 20' else 0}")


@given(remote=V6, port=PORTS)
@example(ipaddress.IPv6Address("::"), 0)
@example(ipaddress.IPv6Address("::1"), 1)
@example(ipaddress.IPv6Address("fd77::2"), 41234)
@example(ipaddress.IPv6Address("1:0:2:0:0:3:0:0"), 1)
@example(ipaddress.IPv6Address("1:0:2:3:4:5:6:7"), 1)
@example(ipaddress.IPv6Address("::ffff:10.0.0.2"), 41234)
@example(ipaddress.IPv6Address("1::"), 65535)
def test_ipv6_addresses_are_printed_in_their_short_form(
    library: Library, remote: ipaddress.IPv6Address, port: int
) -> None:
    row = Row(local=ipaddress.IPv6Address("::"), remote=remote, remote_port=port)
    said = library.row(row.line().rstrip(b"\n"))
    assert said is not None
    assert said.split()[1] == printed(remote, port)


@given(row=ROWS, cut=st.integers(0, 148))
def test_a_truncated_row_is_rejected_or_read_whole(library: Library, row: Row, cut: int) -> None:
    """Only the timeout may be missing: then the peer does not count as unreachable."""
    line = row.line().rstrip(b"\n")
    whole = library.row(line)
    assert whole is not None
    assert library.row(line[:cut]) in (None, whole, whole.removesuffix("1000") + "0")


@given(row=ROWS, at=st.integers(0, 90), junk=st.binary(max_size=4))
def test_junk_in_a_row_does_not_crash_the_parser(
    library: Library, row: Row, at: int, junk: bytes
) -> None:
    line = row.line().rstrip(b"\n")
    library.row(line[:at] + junk + line[at + len(junk) :])
    library.row(line[:at] + junk + line[at:])


@pytest.mark.parametrize(
    "line",
    [
        b"", b" ", HEADER.rstrip(), b"   0:", b"   0: 00000000:0050",
        Row().line().rstrip().replace(b" 01 ", b" 1 "),
        Row().line().rstrip().replace(b":0050 ", b":050 "),
        Row().line().rstrip().replace(b" 01 ", b" 0001 "),
        Row(local=ipaddress.IPv6Address(1), remote=ZERO4).line().rstrip(),
        Row().line()[:40] + Row().line().rstrip(),
    ],
)  # fmt: skip
def test_lines_that_are_not_rows_are_rejected(library: Library, line: bytes) -> None:
    assert library.row(line) is None


@given(
    rows=st.lists(ROWS, max_size=30),
    chunk=st.integers(1, 400),
    listener=st.sampled_from([0, 7]),
)
def test_counts_are_the_same_however_the_table_is_read(
    library: Library, rows: list[Row], chunk: int, listener: int
) -> None:
    data = table(rows)
    assert library.in_flight(data, chunk, listener) == expected_in_flight(rows, listener)


@given(
    rows=st.lists(ROWS, max_size=10), junk=st.binary(max_size=200).filter(lambda b: b"\n" not in b)
)
def test_a_junk_line_does_not_hide_other_rows(
    library: Library, rows: list[Row], junk: bytes
) -> None:
    data = table(rows)
    assert library.in_flight(data + junk + b"\n") == expected_in_flight(rows)


def test_a_table_of_thousands_of_rows_is_counted(library: Library) -> None:
    few = Row(80, LISTEN, 7).line() + b"".join(
        Row(80, state, remote_port=number).line()
        for number, state in enumerate([1, TIME_WAIT] * 10)
    )
    many = few + (Row(80, 1).line() * 100 + Row(81, 1).line() * 100) * 25
    assert library.in_flight(many, 4096) == 10 + 2500


SNMP = b"Ip: A B\nIp: 1 2\nTcp: RtoMin MaxConn ActiveOpens PassiveOpens X\nTcp: 200 -1 18 12345 0\n"


def test_passive_opens_are_found_by_name(library: Library) -> None:
    assert library.passive_opens(SNMP) == 12345
    moved = SNMP.replace(b"ActiveOpens PassiveOpens", b"PassiveOpens ActiveOpens")
    assert library.passive_opens(moved) == 18
    assert library.passive_opens(Path("/proc/net/snmp").read_bytes()) is not None


@pytest.mark.parametrize(
    "text",
    [
        b"", b"Tcp: ", b"Tcp: PassiveOpens\n", b"Tcp: PassiveOpens\nUdp: 1\n",
        b"Tcp: PassiveOpens\nTcp: \n", b"Tcp: PassiveOpens\nTcp: x\n",
        b"Tcp: PassiveOpens\nTcp: -1\n",
        b"Tcp: PassiveOpens\nTcp: 1", b"TcpExt: PassiveOpens\nTcpExt: 1\n",
        b"Tcp: PassiveOpensX\nTcp: 1\n", b"Tcp: PassiveOpens\nTcp: 99999999999999999999999\n",
    ],
)  # fmt: skip
def test_snmp_without_passive_opens_is_rejected(library: Library, text: bytes) -> None:
    assert library.passive_opens(text) is None


@given(
    st.binary()
    | st.lists(st.sampled_from([b"Tcp: ", b"PassiveOpens", b" ", b"\n", b"1"])).map(b"".join)
)
def test_arbitrary_bytes_do_not_crash_the_snmp_parser(library: Library, text: bytes) -> None:
    library.passive_opens(text)


@pytest.mark.parametrize(
    ("text", "pid"),
    [
        (b"17\n", 17), (b"4194304", 4194304), (b"17 \t\r\n", 17), (b"", 0), (b"\n", 0), (b"0", 0),
        (b"-1", 0), (b"+1", 0), (b" 1", 0), (b"1x", 0), (b"1 2", 0), (b"1\0", 0), (b"\0", 0),
        (b"9" * 30, 0),
    ],
)  # fmt: skip
def test_a_pid_file_is_parsed(library: Library, text: bytes, pid: int) -> None:
    assert library.number(text) == pid


@pytest.mark.parametrize(
    ("text", "parent"),
    [
        (b"17 (nginx) S 1 17 17 0", 1),
        (b"17 (a ) S 99 (b) R 4194304 1", 4194304),
        (b"17 (nginx) S 0 17", 0),
        (b"17 (nginx) S 1", 0),
        (b"17 (nginx", 0),
        (b"", 0),
        (b"17 (nginx) S x 1", 0),
    ],
)
def test_the_parent_in_proc_stat_is_parsed(library: Library, text: bytes, parent: int) -> None:
    assert library.parent(text) == parent


@given(st.binary())
def test_arbitrary_bytes_do_not_crash_the_stat_parser(library: Library, text: bytes) -> None:
    assert library.parent(text + b")") == 0
