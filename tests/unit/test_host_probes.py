"""Probes, recognized by the state changes of both ends; a doubtful connection is traffic."""

import pytest

from drainmon.kernel.tcp_samples import ESTABLISHED, SYN_RECV, SYN_SENT, Transition, parse_format
from drainmon.model.tcp import TcpState
from drainmon.sources.host_probes import REMEMBERED, Accepted, Explained, HostProbes

KUBELET, OTHER = 10, 11
HOST, POD = b"h" * 16, b"p" * 16


def begins(socket: int, pid: int = KUBELET) -> Transition:
    return Transition(1.0, pid, socket, TcpState.CLOSE, SYN_SENT, 0, 80, HOST, POD)


def opens(socket: int, port: int) -> Transition:
    return Transition(2.0, OTHER, socket, SYN_SENT, ESTABLISHED, port, 80, HOST, POD)


def accepts(port: int) -> Transition:
    return Transition(3.0, OTHER, 99, SYN_RECV, ESTABLISHED, 80, port, POD, HOST)


@pytest.fixture
def probes() -> HostProbes:
    return HostProbes(lambda pid: pid == KUBELET)


def test_a_connection_of_a_probing_process_is_a_probe(probes: HostProbes) -> None:
    ends = (POD, 80, HOST, 40000)
    assert probes.accepted([begins(1), opens(1, 40000), accepts(40000)]) == [(3.0, ends)]
    assert set(probes.connections) == {ends}


def test_a_probe_is_recognized_across_several_readings(probes: HostProbes) -> None:
    found = [probes.accepted([one]) for one in (begins(1), opens(1, 40000), accepts(40000))]
    assert [len(some) for some in found] == [0, 0, 1]


def test_connections_of_other_processes_are_traffic(probes: HostProbes) -> None:
    assert probes.accepted([begins(1, OTHER), opens(1, 40000), accepts(40000)]) == []
    assert probes.accepted([accepts(40001)]) == []
    assert probes.accepted([opens(2, 40002), accepts(40002)]) == []


def test_a_reused_socket_or_port_is_traffic(probes: HostProbes) -> None:
    probes.accepted([begins(1), opens(1, 40000), accepts(40000)])
    assert probes.accepted([begins(1), begins(1, OTHER), opens(1, 40001), accepts(40001)]) == []
    assert probes.accepted([begins(1, OTHER), opens(1, 40000), accepts(40000)]) == []
    assert not probes.connections


def test_a_connection_explains_one_accept_only(probes: HostProbes) -> None:
    """The client of traffic that is masqueraded to the node's address is not seen: it may get a
    probe's former port."""
    assert probes.accepted([begins(1), opens(1, 40000), accepts(40000), accepts(40000)]) == [
        (3.0, (POD, 80, HOST, 40000))
    ]
    assert not probes.connections


def test_after_a_loss_everything_is_traffic(probes: HostProbes) -> None:
    probes.accepted([begins(1), begins(2), opens(1, 40000)])
    probes.forget()
    assert probes.accepted([accepts(40000), opens(2, 40001), accepts(40001)]) == []


def test_a_limited_number_of_connections_is_remembered(probes: HostProbes) -> None:
    for number in range(REMEMBERED + 10):
        probes.accepted([begins(number), opens(number, number)])
    assert len(probes.connections) == REMEMBERED
    assert probes.accepted([accepts(0), accepts(REMEMBERED)]) == [
        (3.0, (POD, 80, HOST, REMEMBERED))
    ]


def at(*times: float) -> list[Accepted]:
    return [Accepted(time, (POD, 80, HOST, 1)) for time in times]


def test_opens_are_explained_one_by_one() -> None:
    explained = Explained()
    assert explained.take(0, at(), 1.0) == 0
    assert explained.take(3, at(1.5, 1.6), 2.0) == 2
    assert explained.take(1, at(), 3.0) == 0


def test_a_probe_may_show_before_its_open_is_read() -> None:
    explained = Explained()
    assert explained.take(0, at(1.1), 1.0) == 0
    assert explained.take(1, at(), 2.0) == 1
    assert explained.take(1, at(), 3.0) == 0


def test_a_probe_that_counted_as_an_arrival_explains_no_other() -> None:
    explained = Explained()
    assert explained.take(1, at(), 1.0) == 0
    assert explained.take(0, at(0.9), 2.0) == 0
    assert explained.take(1, at(), 3.0) == 0


FORMAT = """\
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:const void * skaddr;	offset:8;	size:8;	signed:0;
	field:int oldstate;	offset:16;	size:4;	signed:1;
	field:int newstate;	offset:20;	size:4;	signed:1;
	field:__u16 sport;	offset:24;	size:2;	signed:0;
	field:__u16 dport;	offset:26;	size:2;	signed:0;
	field:__u16 family;	offset:28;	size:2;	signed:0;
	field:__u8 protocol;	offset:30;	size:1;	signed:0;
	field:__u8 saddr[4];	offset:31;	size:4;	signed:0;
	field:__u8 daddr[4];	offset:35;	size:4;	signed:0;
	field:__u8 saddr_v6[16];	offset:39;	size:16;	signed:0;
	field:__u8 daddr_v6[16];	offset:55;	size:16;	signed:0;
"""
"""Of kernels before 5.6: the protocol has one byte."""


def test_the_tracepoints_format_is_parsed() -> None:
    assert parse_format(FORMAT).size == 71
    assert parse_format(FORMAT).format.startswith("=8xQ0xi0xi0xH0xH11x16s")
    with pytest.raises(OSError, match="has other fields"):
        parse_format(FORMAT.replace("skaddr", "sk"))
