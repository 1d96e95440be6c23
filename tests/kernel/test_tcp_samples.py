"""Samples of connections: complete, in order, each once; a lack of room is reported."""

import os
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from bench.rig.netns import Netns
from drainmon.kernel.tcp_samples import ESTABLISHED, SYN_RECV, SYN_SENT, TcpSamples
from tests.kernel.sourced import open_files

pytestmark = pytest.mark.root

PORT = 30000 + os.getpid() % 2000


@pytest.fixture
def samples() -> Iterator[TcpSamples]:
    samples = TcpSamples()
    yield samples
    samples.close()


@pytest.fixture
def listener(netns: Netns) -> Iterator[socket.socket]:
    with netns.socket() as listener:
        listener.bind(("127.0.0.1", PORT))
        listener.listen()
        yield listener


def connect(netns: Netns, listener: socket.socket, number: int) -> list[int]:
    """Open connections one after the other; returns their ports."""
    ports = []

    def body() -> None:
        for _ in range(number):
            with socket.create_connection(listener.getsockname()) as client:
                ports.append(client.getsockname()[1])
                listener.accept()[0].close()

    netns.call(body)
    return ports


def test_every_connection_is_sampled_in_order(
    samples: TcpSamples, netns: Netns, listener: socket.socket
) -> None:
    samples.follow(frozenset({PORT}))
    for _ in range(12):  # the rings are overwritten more than once
        ports = connect(netns, listener, 500)
        found, lost = samples.read()
        assert not lost
        assert found == sorted(found)
        assert Counter((one.before, one.after) for one in found) == {
            (7, SYN_SENT): 500, (SYN_SENT, ESTABLISHED): 500, (SYN_RECV, ESTABLISHED): 500,
        }  # fmt: skip
        opened = [one for one in found if one.before == SYN_SENT]
        assert [one.local_port for one in opened] == ports
        assert {one.pid for one in found if one.after == SYN_SENT} == {os.getpid()}


def test_other_ports_are_not_sampled(
    samples: TcpSamples, netns: Netns, listener: socket.socket
) -> None:
    samples.follow(frozenset({PORT + 1}))
    connect(netns, listener, 1)
    assert samples.read() == ([], False)
    assert samples.follow(frozenset({PORT})) is False
    connect(netns, listener, 1)
    assert len(samples.read()[0]) == 3
    assert samples.follow(frozenset({PORT + 1})) is True
    samples.follow(frozenset())
    connect(netns, listener, 1)
    assert samples.read() == ([], False)


def test_lost_samples_are_reported(
    samples: TcpSamples, netns: Netns, listener: socket.socket
) -> None:
    samples.follow(frozenset({PORT}))
    connect(netns, listener, 4000)
    found, lost = samples.read()
    assert lost
    assert found


def test_closing_leaves_no_open_files() -> None:
    TcpSamples().close()
    before = open_files()
    for _ in range(3):
        samples = TcpSamples()
        samples.follow(frozenset({PORT}))
        samples.follow(frozenset({PORT, PORT + 1}))
        samples.close()
    assert open_files() == before
