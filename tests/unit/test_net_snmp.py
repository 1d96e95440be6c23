"""Passive opens of /proc/net/snmp: found by name, never guessed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.procfs.net_snmp import parse_datagrams, parse_mptcp_handshakes, parse_passive_opens

FIXTURES = Path(__file__).parents[1] / "fixtures" / "proc_net"
SNMP = b"Ip: A B\nIp: 1 2\nTcp: RtoMin MaxConn ActiveOpens PassiveOpens X\nTcp: 200 -1 18 12345 0\n"


@pytest.mark.parametrize("pod", ["web-jspw5", "web-qc9pc"])
def test_passive_opens_of_real_files_are_read(pod: str) -> None:
    text = (FIXTURES / f"{pod}.snmp").read_bytes()
    names, values = (line.split() for line in text.splitlines() if line.startswith(b"Tcp:"))
    assert parse_passive_opens(text) == int(values[names.index(b"PassiveOpens")]) > 0


def test_passive_opens_are_found_by_name() -> None:
    assert parse_passive_opens(SNMP) == 12345
    moved = SNMP.replace(b"ActiveOpens PassiveOpens", b"PassiveOpens ActiveOpens")
    assert parse_passive_opens(moved) == 18


@pytest.mark.parametrize(
    "text",
    [
        b"", b"Tcp: ", b"Tcp: PassiveOpens\n", b"Tcp: PassiveOpens\nUdp: 1\n",
        b"Tcp: PassiveOpens\nTcp: \n", b"Tcp: PassiveOpens\nTcp: x\n",
        b"Tcp: PassiveOpens\nTcp: -1\n", b"Tcp: PassiveOpens\nTcp: 1",
        b"TcpExt: PassiveOpens\nTcpExt: 1\n", b"Tcp: PassiveOpensX\nTcp: 1\n",
        b"Tcp: PassiveOpens\nTcp: " + b"9" * 5000 + b"\n",
    ],
)  # fmt: skip
def test_snmp_without_passive_opens_is_rejected(text: bytes) -> None:
    assert parse_passive_opens(text) is None


def test_datagrams_of_both_families_are_added_up() -> None:
    snmp = b"Udp: InDatagrams NoPorts InErrors OutDatagrams\nUdp: 7 1 2 9\n"
    assert parse_datagrams(snmp) == (7, 9)
    snmp6 = b"Ip6InReceives \t 5\nUdp6InDatagrams   \t30\nUdp6OutDatagrams\t 40\n"
    assert parse_datagrams(snmp, snmp6) == (37, 49)
    assert parse_datagrams(snmp, b"Udp6InDatagrams x\nUdp6OutDatagrams " + b"9" * 5000) == (7, 9)
    assert parse_datagrams(SNMP, snmp6) is None


@given(st.binary(), st.binary())
def test_malformed_udp_statistics_are_rejected(snmp: bytes, snmp6: bytes) -> None:
    assert parse_datagrams(snmp, snmp6) is None


def test_mptcp_handshakes_are_read() -> None:
    netstat = b"TcpExt: A\nTcpExt: 7\nMPTcpExt: MPCapableSYNRX B\nMPTcpExt: 3 4\n"
    assert parse_mptcp_handshakes(netstat) == 3
    assert parse_mptcp_handshakes(SNMP) is None


@given(
    st.binary()
    | st.lists(st.sampled_from([b"Tcp: ", b"PassiveOpens", b" ", b"\n", b"1"])).map(b"".join)
)
def test_arbitrary_bytes_do_not_crash_the_parser(text: bytes) -> None:
    parse_passive_opens(text)


@given(cut=st.integers(0, len(SNMP)))
def test_a_truncated_file_gives_the_true_value_or_none(cut: int) -> None:
    assert parse_passive_opens(SNMP[:cut]) in (None, 12345)
