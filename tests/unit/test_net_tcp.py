"""Listeners of /proc/net/tcp: leading rows only, torn rows passed over."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.procfs.net_tcp import listeners, parse_listeners

HEADER = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
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
