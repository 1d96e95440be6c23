"""Rows of /proc/net/tcp: real, torn and hostile ones."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.model.snapshot import format_address
from drainmon.procfs.net_tcp import (
    SURE_RTO,
    find_rows,
    listeners,
    parse_columns,
    parse_ends,
    parse_listeners,
)
from tests.unit.proc_net import HEADER, ROWS, Address, Row, packed, table

FIXTURES = Path(__file__).parents[1] / "fixtures" / "proc_net"
PORTS = frozenset({80, 443})

LISTEN = (
    b"   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000"
    b"     0        0 4711 1 0000000000000000 100 0 0 10 0\n"
)
LISTEN6 = (
    b"   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A"
    b" 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000 100 0 0 10 0\n"
)
ESTABLISHED = LISTEN.replace(b" 0A ", b" 01 ").replace(b"4711", b"4713")


def test_reads_inode_and_port() -> None:
    assert list(parse_listeners([HEADER, LISTEN, LISTEN6])) == [(4711, 8080), (4712, 443)]


def test_stops_at_the_first_connection() -> None:
    rows = iter([HEADER, LISTEN, ESTABLISHED, LISTEN6])
    assert list(parse_listeners(rows)) == [(4711, 8080)]
    assert next(rows) == LISTEN6


@pytest.mark.parametrize(
    "torn", [b"", b"\n", LISTEN[:20], LISTEN.replace(b"1F90", b"zz"), b"\xff" * 200]
)
def test_a_torn_row_is_passed_over(torn: bytes) -> None:
    assert list(parse_listeners([HEADER, torn, LISTEN])) == [(4711, 8080)]


@given(st.lists(st.binary(max_size=200)))
def test_no_row_breaks_it(rows: list[bytes]) -> None:
    list(parse_listeners(rows))


def test_reads_both_families(tmp_path: Path) -> None:
    net = tmp_path / "7" / "net"
    net.mkdir(parents=True)
    (net / "tcp").write_bytes(HEADER + LISTEN)
    assert listeners(7, tmp_path) == {4711: 8080}
    (net / "tcp6").write_bytes(HEADER + LISTEN6)
    assert listeners(7, tmp_path) == {4711: 8080, 4712: 443}


def test_a_process_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        listeners(7, tmp_path)


def parsed(text: bytes, ports: frozenset[int] = PORTS) -> list[tuple[object, object]]:
    rows = [(parse_ends(ends), parse_columns(columns)) for ends, columns in find_rows(text, ports)]
    return [(ends, columns) for ends, columns in rows if ends and columns]


def expected(row: Row) -> tuple[object, object]:
    ends = packed(row.local), row.local_port, packed(row.remote), row.remote_port
    return ends, parse_columns(row.columns)


@pytest.mark.parametrize("pod", ["web-jspw5", "web-qc9pc"])
def test_real_tables(pod: str) -> None:
    text = (FIXTURES / f"{pod}.tcp").read_bytes()
    found = [parse_columns(columns) for _, columns in find_rows(text, PORTS)]
    assert len(found) == text.count(b"\n") - 1
    listener, *rest = found
    assert listener is not None
    assert (listener.state, listener.rx_queue, listener.fast_open) == (10, 0, False)
    assert {(row.state, row.minisocket) for row in rest if row} == {(6, True)}
    _, (first, _), *_ = find_rows(text, PORTS)
    ends = parse_ends(first)
    assert ends is not None
    assert format_address(*ends[:2]) in {"10.244.0.4:80", "10.244.0.5:80"}
    assert format_address(*ends[2:]).startswith("10.244.0.1:")
    assert find_rows((FIXTURES / f"{pod}.tcp6").read_bytes(), PORTS) == []


@given(row=ROWS)
def test_a_row_is_read_as_it_was_written(row: Row) -> None:
    found = parse_columns(row.columns)
    assert found is not None
    assert found[:3] == (row.state, row.tx_queue, row.rx_queue)
    assert not found.minisocket
    wanted = [row] if row.local_port in PORTS else []
    assert parsed(table(row)) == [expected(row) for row in wanted]


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (IPv4Address("10.0.0.1"), "10.0.0.1:9"),
        (IPv6Address("2001:db8::7"), "[2001:db8::7]:9"),
        (IPv6Address("::ffff:10.0.0.1"), "10.0.0.1:9"),
    ],
)
def test_addresses(address: Address, text: str) -> None:
    row = Row(local=type(address)(1), remote=address, remote_port=9)
    ((written, _),) = find_rows(table(row), PORTS)
    ends = parse_ends(written)
    assert ends is not None
    assert format_address(*ends[2:]) == text


@given(row=ROWS, cut=st.integers(0, 300))
def test_a_torn_row_is_none_or_the_whole(row: Row, cut: int) -> None:
    whole, torn = parse_columns(row.columns), parse_columns(row.columns[:cut])
    # Without its end a row in FIN_WAIT2 or SYN_RECV is as long as a minisocket's.
    assert torn is None or torn[:3] == whole[:3]  # type: ignore[index]
    assert torn is None or not torn.silent or whole == torn


@given(
    rows=st.lists(ROWS, max_size=8),
    junk=st.binary(max_size=200).filter(lambda junk: b"\n" not in junk),
    at=st.integers(0, 8),
)
def test_a_junk_line_costs_only_itself(rows: list[Row], junk: bytes, at: int) -> None:
    lines = [row.line(number) for number, row in enumerate(rows)]
    text = HEADER + b"".join([*lines[:at], junk + b"\n", *lines[at:]])
    assert parsed(text) == [expected(row) for row in rows if row.local_port in PORTS]


@given(rows=st.lists(ROWS, min_size=1, max_size=4), cut=st.integers(0, 900))
def test_a_table_that_breaks_off_has_the_rows_before(rows: list[Row], cut: int) -> None:
    text = table(*rows)[:cut]
    whole = max(0, text.count(b"\n") - 1)
    assert parsed(text) == [expected(row) for row in rows[:whole] if row.local_port in PORTS]


FRAGMENTS = [b"0A", b"01", b":", b" ", b"\n", b"0050", b"00000000", b"1" * 5000, b"-1", b"   0: "]


@given(st.binary() | st.lists(st.sampled_from(FRAGMENTS)).map(b"".join))
def test_no_bytes_break_it(text: bytes) -> None:
    parse_columns(text)
    parse_ends(text)
    parsed(b"\n   0: 00000000:0050 00000000:0000 " + text + b"\n")
    parsed(text)


def test_no_port_finds_nothing() -> None:
    assert find_rows(table(Row()), frozenset()) == []


@pytest.mark.parametrize("state", [3, 5, 6])
def test_a_minisocket(state: int) -> None:
    columns = parse_columns(Row(state=state, ato=None).columns)
    assert columns is not None
    assert (columns.minisocket, columns.silent) == (True, False)


@pytest.mark.parametrize("state", [1, 4, 8, 9, 10, 11])
def test_a_connection_that_lacks_its_end_is_torn(state: int) -> None:
    assert parse_columns(Row(state=state, ato=None).columns) is None


@pytest.mark.parametrize(
    ("row", "silent"),
    [
        (Row(ato=0), True),
        (Row(ato=0, rto=SURE_RTO.stop - 1), True),
        (Row(ato=4), False),
        (Row(ato=0, quick=1), False),  # it answers, or acknowledges at once
        (Row(ato=0, rx_queue=1), False),
        (Row(ato=0, rto=SURE_RTO.start - 1), False),
        (Row(ato=0, rto=SURE_RTO.stop), False),
    ],
)
def test_silence_is_said_only_when_it_is_sure(row: Row, silent: bool) -> None:
    columns = parse_columns(row.columns)
    assert columns is not None
    assert columns.silent is silent


@pytest.mark.parametrize(("last", "fast_open"), [(0, False), (-1, False), (16, True)])
def test_a_listener_with_fast_open(last: int, fast_open: bool) -> None:
    columns = parse_columns(Row(state=10, ato=0, last=last).columns)
    assert columns is not None
    assert columns.fast_open is fast_open
