"""Listeners by netlink equal those in /proc."""

import errno
import os
import socket
import struct
import subprocess
from contextlib import ExitStack

import pytest

from bench.rig.netns import Netns
from drainmon.kernel import netns as kernel_netns
from drainmon.kernel import sock_diag
from drainmon.kernel.diag_message import Part, parse_inode_and_port
from drainmon.pods.listeners import listeners_of
from drainmon.procfs import net_tcp, process
from tests.waiting import eventually

pytestmark = pytest.mark.root


def listening(namespace: Netns, stack: ExitStack) -> dict[int, int]:
    """Open listeners of every kind, closed ones, and connections; returns the listeners' ports by
    inode."""

    def made(family: int, *options: tuple[int, int]) -> socket.socket:
        own = stack.enter_context(socket.socket(family))
        for level, option in options:
            own.setsockopt(level, option, 1)
        return own

    def body() -> dict[int, int]:
        reuse = (socket.SOL_SOCKET, socket.SO_REUSEPORT)
        first, second = made(socket.AF_INET, reuse), made(socket.AF_INET, reuse)
        for own in (first, second):
            own.bind(("127.0.0.1", 8080))
        dual = made(socket.AF_INET6)
        dual.bind(("::", 8081))
        single = made(socket.AF_INET6, (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
        single.bind(("::", 8080))
        bound = made(socket.AF_INET)
        bound.bind(("127.0.0.1", 8082))
        for own in (first, second, dual, single):
            own.listen()
        client = made(socket.AF_INET)
        client.connect(("127.0.0.1", 8081))
        with socket.create_server(("127.0.0.1", 8083)):
            pass
        return {
            os.fstat(own.fileno()).st_ino: own.getsockname()[1]
            for own in (first, second, dual, single)
        }

    return namespace.call(body)


def test_listeners_by_netlink_equal_those_in_proc(netns: Netns) -> None:
    with ExitStack() as stack:
        expected = listening(netns, stack)
        assert netns.call(sock_diag.listeners) == expected
        holder = stack.enter_context(subprocess.Popen(netns.command(["sleep", "infinity"])))
        stack.callback(holder.kill)
        eventually(lambda: process.netns_inode(holder.pid) == netns.inode)
        assert net_tcp.listeners(holder.pid) == expected
        assert listeners_of(holder.pid) == expected


def test_listeners_of_several_answers_are_listed(netns: Netns) -> None:
    with ExitStack() as stack:

        def body() -> set[int]:
            servers = [stack.enter_context(socket.create_server(("", 0))) for _ in range(700)]
            return {server.getsockname()[1] for server in servers}

        ports = netns.call(body)
        assert set(netns.call(sock_diag.listeners).values()) == ports


def test_listeners_are_read_from_proc_without_the_right_to_enter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "cannot enter the network namespace")

    monkeypatch.setattr(kernel_netns, "call_in", refused)
    with socket.create_server(("127.0.0.1", 0)) as server:
        ports = listeners_of(os.getpid())
        assert ports[os.fstat(server.fileno()).st_ino] == server.getsockname()[1]


def test_listeners_of_an_ended_process_are_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        listeners_of(2**22 + 1)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (struct.pack("=IHHIIi", 20, 2, 0, 7, 0, -errno.ENOENT), "No such file"),
        (struct.pack("=IHHII", 16, 20, 0, 7, 0), "cut short"),
        (struct.pack("=IHHII", 88, 20, 0, 7, 0) + bytes(71), "cut short"),
        (struct.pack("=IHHIIi", 20, 3, 0, 6, 0, 0), "another request"),
    ],
)
def test_a_malformed_answer_is_an_error(answer: bytes, why: str) -> None:
    with pytest.raises(OSError, match=f"cannot list sockets: .*{why}"):
        sock_diag.split(bytearray(answer), len(answer), 7)


def test_the_end_may_follow_messages_in_one_answer() -> None:
    one = struct.pack("=IHHII", 88, 20, 0x10, 7, 0) + bytes(72)
    answer = bytearray(one + one + struct.pack("=IHHIIi", 20, 3, 0, 7, 0, 0))
    assert sock_diag.split(answer, len(answer), 7) == (Part(answer, [0, 88], True), True)
    assert sock_diag.split(answer, 176, 7) == (Part(answer, [0, 88], True), False)


def test_an_unread_answer_does_not_leak_into_the_next(netns: Netns) -> None:
    with ExitStack() as stack:

        def body() -> sock_diag.SockDiag:
            for _ in range(700):
                stack.enter_context(socket.create_server(("", 0)))
            return sock_diag.SockDiag()

        diag = netns.call(body)
        stack.callback(diag.close)
        next(diag.tcp(sock_diag.LISTENING)).starts  # noqa: B018
        assert sum(len(part.starts) for part in diag.tcp(sock_diag.LISTENING)) == 700


@pytest.mark.parametrize("number", [0, 1, 2, 50, sock_diag.PORTS_FILTERED])
def test_the_kernel_filters_by_ports(netns: Netns, number: int) -> None:
    with ExitStack() as stack:

        def body() -> sock_diag.SockDiag:
            for port in range(20_000, 20_400):
                stack.enter_context(socket.create_server(("", port)))
            return sock_diag.SockDiag()

        diag = netns.call(body)
        stack.callback(diag.close)
        wanted = set(range(20_000, 20_400, 2)[:number])
        parts = diag.tcp(sock_diag.LISTENING, wanted)
        found = [parse_inode_and_port(part, start)[1] for part in parts for start in part.starts]
        assert sorted(found) == sorted(wanted)
