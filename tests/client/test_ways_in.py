"""How the client reaches the daemon: by path, by abstract name in the netns, or not at all."""

import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig.netns import Netns
from tests.client.fake_daemon import Conversation, FakeDaemon
from tests.client.pod import Pod
from tests.client.run import Client, Run, in_time
from tests.client.ways_in import (
    NAME,
    ask,
    cut_short,
    dies,
    drained,
    in_flight,
)

pytestmark = pytest.mark.root

UID_101 = ["setpriv", "--reuid=101", "--regid=101", "--clear-groups"]
"""The user of nginx-unprivileged."""


def test_the_path_is_tried_before_the_name(
    pod_netns: Netns, client: Path, socket_path: Path
) -> None:
    with (
        FakeDaemon(socket_path, drained) as at_path,
        FakeDaemon(NAME, cut_short, netns=pod_netns) as by_name,
    ):
        ended = ask(pod_netns, client, socket_path, "--verbose")
    assert ended.status == 0
    assert ended.lines[0] == f"the daemon answers at {socket_path}"
    assert (len(at_path.requests), len(by_name.requests)) == (1, 0)


@pytest.mark.parametrize("path_is", ["missing", "stale", "no socket", "in no folder"])
def test_an_unusable_path_does_not_delay_the_name(
    pod_netns: Netns, checked_client: Path, socket_path: Path, path_is: str
) -> None:
    path = socket_path
    if path_is == "stale":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    elif path_is == "no socket":
        path.write_text("")
    elif path_is == "in no folder":
        path = Path("/dev/null/drainmon.sock")
    with FakeDaemon(NAME, drained, netns=pod_netns) as daemon:
        ended = ask(pod_netns, checked_client, path, "--verbose")
    assert ended.status == 0
    assert ended.lines[0] == f"the daemon answers at {NAME}"
    assert len(ended.lines) == 2
    assert ended.last.startswith("drained, 0 in flight")
    (request,) = daemon.requests
    assert request["elapsed"] < 0.4


@pytest.fixture
def for_all(client: Path) -> Iterator[Path]:
    """The client where every user may run it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(shutil.copy(client, folder))


def test_an_unprivileged_user_reaches_the_daemon_by_name(
    pod_netns: Netns, for_all: Path, socket_path: Path
) -> None:
    """The path's folder is closed to that user."""
    argv = [*UID_101, str(for_all), "--no-pod-log", f"--socket={socket_path}", "--verbose"]
    with (
        FakeDaemon(socket_path, cut_short),
        FakeDaemon(NAME, drained, netns=pod_netns) as by_name,
    ):
        ended = Client(pod_netns.command(argv)).end()
        assert (ended.status, len(by_name.requests)) == (0, 1)
    assert f"the daemon answers at {NAME}" in ended.lines


@pytest.mark.parametrize("name", ["@drainmon-test", "@" + "x" * 107, "@a/b c"])
def test_a_name_given_as_socket_is_the_only_way_in(
    pod_netns: Netns, checked_client: Path, name: str
) -> None:
    with FakeDaemon(NAME, cut_short, netns=pod_netns) as other:
        ended = ask(pod_netns, checked_client, name)
        assert ended.status == 3
        assert ended.last == f"cannot use the daemon: cannot connect {name}: Connection refused"
        with FakeDaemon(name, drained, netns=pod_netns) as daemon:
            assert ask(pod_netns, checked_client, name).status == 0
    assert (len(other.requests), len(daemon.requests)) == (0, 1)


@pytest.mark.parametrize("near", ["@name\0", "@name".ljust(108, "\0"), "@nam", "@named"])
def test_a_name_is_matched_byte_for_byte(pod_netns: Netns, client: Path, near: str) -> None:
    with FakeDaemon(near, drained, netns=pod_netns) as other:
        assert ask(pod_netns, client, "@name").status == 3
    assert other.requests == []


def test_a_name_in_another_namespace_is_not_reached(
    pod_netns: Netns, outside: Netns, client: Path, socket_path: Path
) -> None:
    with FakeDaemon(NAME, drained, netns=outside) as other:
        assert ask(pod_netns, client, socket_path).status == 3
    assert other.requests == []


def test_a_daemon_that_restarts_at_the_name_continues_the_drain(pod: Pod) -> None:
    theirs, ours = in_flight(pod)
    released = threading.Event()

    def goes_on(daemon: Conversation) -> None:
        daemon.head()
        while not released.wait(0.05) and not daemon.over.is_set():
            daemon.phase("waiting", 1)
        daemon.line(result="drained", in_flight=0)

    with FakeDaemon(NAME, dies, netns=pod.netns):
        waiting = pod.start("--timeout=20s", "--no-roll")
        lost = waiting.line("cannot use the daemon")
    assert lost == "cannot use the daemon: it closed the connection; counting without it"
    waiting.line("waiting, 1 in flight")
    with FakeDaemon(NAME, goes_on, netns=pod.netns) as second:
        waiting.line("the daemon is back and counts again")
        theirs.close()
        ours.close()
        released.set()
        ended = waiting.end()
    assert (ended.status, len(second.requests)) == (0, 1)
    assert ended.last.startswith("drained, 0 in flight")


def test_a_client_that_counts_alone_tries_both_ways_in(pod: Pod) -> None:
    """Both are tried each second, whichever was used before."""
    in_flight(pod)
    waiting = pod.start("--timeout=30s", "--no-roll", "--verbose")
    waiting.line("cannot use the daemon: cannot connect ")
    with ExitStack() as stack:
        for where in (NAME, pod.socket_path, NAME):
            with FakeDaemon(where, dies, netns=None if where == pod.socket_path else pod.netns):
                waiting.line("the daemon is back and counts again")
                assert waiting.line("the daemon answers at ").endswith(f" {where}")
                waiting.line("cannot use the daemon: it closed the connection; counting")
        stack.enter_context(FakeDaemon(pod.socket_path, drained))
        assert waiting.end().status == 0


def fill(stack: ExitStack, netns: Netns) -> None:
    """Connect to NAME until its backlog is full."""
    full = 0
    while not full:
        other = stack.enter_context(netns.socket(socket.AF_UNIX))
        other.setblocking(False)
        full = other.connect_ex("\0drainmon")


def test_client_waits_for_a_daemon_at_a_name_that_is_slow_to_accept(
    pod_netns: Netns, client: Path, socket_path: Path
) -> None:
    with FakeDaemon(NAME, backlog=0, netns=pod_netns) as daemon, ExitStack() as stack:
        fill(stack, pod_netns)
        argv = [str(client), "--no-pod-log", "--on-missing=fail", f"--socket={socket_path}"]
        waiting = Client(pod_netns.command(argv))
        daemon.listener.settimeout(5)
        connection: socket.socket | None = None
        while connection is None:
            accepted, _ = daemon.listener.accept()
            stack.enter_context(accepted)
            accepted.settimeout(5)
            pid = peer(accepted)
            connection = accepted if pid != os.getpid() else None
        conversation = Conversation(connection, threading.Event())
        conversation.read_request()
        drained(conversation)
        assert waiting.end().status == 0


def peer(connection: socket.socket) -> int:
    """The pid of the connected process."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder)


def test_a_full_backlog_at_a_name_does_not_delay_the_timeout(pod: Pod) -> None:
    in_flight(pod)

    def once() -> Run:
        with FakeDaemon(NAME, backlog=0, netns=pod.netns), ExitStack() as stack:
            fill(stack, pod.netns)
            return pod.start("--timeout=0.8s", "--no-roll").end()

    ended = in_time(0.8, once)
    assert ended.status == 1
    assert ended.lines[0] == (
        f"cannot use the daemon: cannot connect {pod.socket_path}: No such file or directory, "
        f"and at {NAME} it does not answer; counting without it"
    )


def test_many_hooks_of_a_pod_share_the_name(
    pod_netns: Netns, client: Path, socket_path: Path
) -> None:
    flags = ["--no-pod-log", "--on-missing=fail", f"--socket={socket_path}"]
    with FakeDaemon(NAME, drained, netns=pod_netns, backlog=4) as daemon:
        waiting = [Client(pod_netns.command([str(client), *flags])) for _ in range(20)]
        assert [one.end().status for one in waiting] == [0] * 20
    assert len(daemon.requests) == 20
