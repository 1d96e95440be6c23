"""Sockets in pods' network namespaces, on kernels with fewer features."""

import errno
import os
import socket
from contextlib import ExitStack
from typing import Any

import pytest

from bench.rig.netns import Netns
from drainmon.server.in_pod_sockets import AbstractName, Port


class WithoutIpv6(socket.socket):
    """As with ipv6.disable=1 on the kernel's command line."""

    def __init__(self, family: int = -1, *arguments: Any, **more: Any) -> None:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        super().__init__(family, *arguments, **more)


@pytest.mark.root
def test_a_port_is_bound_without_ipv6(netns: Netns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", WithoutIpv6)
    with netns.call(Port(9936).bind) as listener, netns.socket() as caller:
        assert listener.family == socket.AF_INET
        caller.connect(("127.0.0.1", 9936))


@pytest.mark.root
def test_a_port_serves_ipv4_and_ipv6(netns: Netns) -> None:
    with netns.call(Port(9936).bind):
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with netns.socket(family) as caller:
                caller.connect((address, 9936))


@pytest.mark.root
def test_other_names_cannot_forge_the_holder_of_a_name(netns: Netns, other_netns: Netns) -> None:
    """/proc/net/unix shows each of these names as several lines."""
    place = AbstractName("drainmon")
    with ExitStack() as stack:
        for number in range(300):  # wherever the kernel's table begins
            forged = stack.enter_context(netns.socket(socket.AF_UNIX))
            forged.bind(f"\0{number}\n0: 2 0 10000 1 1 4242 @drainmon")
            forged.listen()
        stack.enter_context(other_netns.call(place.bind))
        assert netns.call(place.holder) is None
        bound = stack.enter_context(netns.socket(socket.AF_UNIX))
        bound.bind("\0drainmon")
        assert netns.call(place.holder) is None
        bound.listen()
        assert netns.call(place.holder) == os.fstat(bound.fileno()).st_ino
