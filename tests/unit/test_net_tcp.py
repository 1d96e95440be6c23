"""Rows of /proc/net/tcp: real, truncated and hostile."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drainmon.model.snapshot import format_address
from drainmon.procfs.net_tcp import Row as ParsedRow
from drainmon.procfs.net_tcp import (
    find_rows,
    listen_together,
    listeners,
    parse_listeners,
    parse_row,
)
from tests.unit.proc_net import HEADER, ROWS, Address, Row, packed, table

FIXTURES = Path(__file__).parents[1] / "fixtures" / "proc_net"
PORTS = frozenset({80, 443})


def ports(rows: Iterable[bytes]) -> list[tuple[int, int]]:
    return [(inode, port) for inode, _, port in parse_listeners(rows)]


LISTEN = (
    b"   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000"
    b"     0        0 4711 1 0000000000000000 100 0 0 10 0\n"
)
LISTEN6 = (
    b"   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A"
    b" 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000 100 0 0 10 0\n"
)
ESTABLISHED = LISTEN.replace(b" 0A ", b" 01 ").replace(b"4711", b"4713")


def test_inode_and_port_of_listeners_are_read() -> None:
    assert ports([HEADER, LISTEN, LISTEN6]) == [(4711, 8080), (4712, 443)]


def test_reading_stops_at_the_first_connection() -> None:
    rows = iter([HEADER, LISTEN, ESTABLISHED, LISTEN6])
    assert ports(rows) == [(4711, 8080)]
    assert next(rows) == LISTEN6


@pytest.mark.parametrize(
    "torn", [b"", b"\n", LISTEN[:20], LISTEN.replace(b"1F90", b"zz"), b"\xff" * 200]
)
def test_a_truncated_row_is_skipped(torn: bytes) -> None:
    assert ports([HEADER, torn, LISTEN]) == [(4711, 8080)]


@given(st.lists(st.binary(max_size=200)))
def test_arbitrary_rows_do_not_crash_the_parser(rows: list[bytes]) -> None:
    list(parse_listeners(rows))


def test_listeners_of_both_families_are_read(tmp_path: Path) -> None:
    net = tmp_path / "7" / "net"
    net.mkdir(parents=True)
    (net / "tcp").write_bytes(HEADER + LISTEN)
    assert listeners(7, tmp_path) == {4711: 8080}
    (net / "tcp6").write_bytes(HEADER + LISTEN6)
    assert listeners(7, tmp_path) == {4711: 8080, 4712: 443}


def test_listeners_of_an_ended_process_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        listeners(7, tmp_path)


def test_listeners_at_one_address_are_recognized(tmp_path: Path) -> None:
    (tmp_path / "7/net").mkdir(parents=True)
    again = LISTEN.replace(b"4711", b"4713")
    elsewhere = LISTEN.replace(b"00000000:1F90", b"0100007F:1F90").replace(b"4711", b"4714")
    (tmp_path / "7/net/tcp").write_bytes(HEADER + LISTEN + again + elsewhere)
    (tmp_path / "7/net/tcp6").write_bytes(HEADER + LISTEN6)
    assert listen_together(7, {4711, 4713}, tmp_path)
    assert not listen_together(7, {4711, 4712, 4714}, tmp_path)


def texts(rows: list[Row]) -> list[bytes]:
    """The rows' texts that a search finds."""
    return [row.text for row in rows if row.local_port in PORTS]


def read(row: Row) -> ParsedRow:
    parsed = parse_row(row.text)
    assert parsed is not None
    return parsed


@pytest.mark.parametrize("pod", ["web-jspw5", "web-qc9pc"])
def test_real_tables_are_read(pod: str) -> None:
    table = (FIXTURES / f"{pod}.tcp").read_bytes()
    found = [parse_row(row) for row in find_rows(table, PORTS)]
    rows = [row for row in found if row]
    assert len(rows) == table.count(b"\n") - 1
    listener, *rest = rows
    assert (listener.state, listener.rx_queue, listener.minisocket) == (10, 0, False)
    assert {(row.state, row.minisocket) for row in rest} == {(6, True)}
    assert {format_address(*row[:2]) for row in rest} < {"10.244.0.4:80", "10.244.0.5:80"}
    assert {format_address(*row[2:4]).split(":")[0] for row in rest} == {"10.244.0.1"}
    assert find_rows((FIXTURES / f"{pod}.tcp6").read_bytes(), PORTS) == []


@given(row=ROWS, number=st.integers(0, 200_000))
def test_every_column_of_a_row_is_parsed(row: Row, number: int) -> None:
    found = [text.rstrip() for text in find_rows(HEADER + row.line(number), PORTS)]
    assert found == texts([row])
    assert tuple(read(row)) == (
        packed(row.local), row.local_port, packed(row.remote), row.remote_port,
        row.state, row.tx_queue, row.rx_queue, False,
        row.retransmits, row.probes, pytest.approx(row.rto / 100), row.inode,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (IPv4Address("10.0.0.1"), "10.0.0.1:9"),
        (IPv6Address("2001:db8::7"), "[2001:db8::7]:9"),
        (IPv6Address("::ffff:10.0.0.1"), "10.0.0.1:9"),
    ],
)
def test_addresses_are_formatted(address: Address, text: str) -> None:
    row = read(Row(local=type(address)(1), remote=address, remote_port=9))
    assert format_address(row.remote, row.remote_port) == text


@given(row=ROWS, cut=st.integers(0, 300))
def test_a_truncated_row_is_rejected_or_read_whole(row: Row, cut: int) -> None:
    torn = parse_row(row.text[:cut])
    # A connection in FIN_WAIT2 or SYN_RECV looks like a minisocket without its end.
    assert torn is None or torn[:7] == read(row)[:7]
    assert torn is None or torn.minisocket or torn[7:10] == read(row)[7:10]


@given(
    rows=st.lists(ROWS, max_size=8),
    junk=st.binary(max_size=200).filter(lambda junk: b"\n" not in junk),
    at=st.integers(0, 8),
)
def test_a_junk_line_does_not_hide_other_rows(rows: list[Row], junk: bytes, at: int) -> None:
    lines = [row.line() for row in rows]
    table = HEADER + b"".join([*lines[:at], junk + b"\n", *lines[at:]])
    assert [text.rstrip() for text in find_rows(table, PORTS)] == texts(rows)


@given(rows=st.lists(ROWS, min_size=1, max_size=4), cut=st.integers(0, 900))
def test_a_truncated_table_has_its_complete_rows(rows: list[Row], cut: int) -> None:
    torn = table(*rows)[:cut]
    whole = max(0, torn.count(b"\n") - 1)
    assert [text.rstrip() for text in find_rows(torn, PORTS)] == texts(rows[:whole])


FRAGMENTS = [
    b"0A", b"01", b":", b" ", b"\n", b"0050", b"00000000", b"9" * 5000, b"-1", b"-0000001",
    b"   0: ",
    b"00000000:0050 ", b"00000000:00000000 ",
]  # fmt: skip


@given(st.binary() | st.lists(st.sampled_from(FRAGMENTS)).map(b"".join))
@example(b"00000000:0050 -0000001:0050 01 00000000:00000000 " + b"0 " * 20)
@example(b"00000000:0050 00000000:0050 01 00000000:00000000 " + b"9" * 5000 + b" 0" * 20)
def test_arbitrary_bytes_do_not_crash_the_parser(text: bytes) -> None:
    parse_row(text)
    for row in find_rows(b"\n   0: 00000000:0050 " + text + b"\n", PORTS):
        parse_row(row)


def test_no_ports_find_no_rows() -> None:
    assert find_rows(table(Row()), frozenset()) == []


@pytest.mark.parametrize("state", [3, 5, 6])
def test_a_short_row_is_a_minisocket(state: int) -> None:
    row = read(Row(state=state, ato=None))
    assert row.minisocket


@pytest.mark.parametrize("state", [1, 4, 8, 9, 10, 11])
def test_a_short_row_of_a_connection_is_rejected(state: int) -> None:
    assert parse_row(Row(state=state, ato=None).text) is None
