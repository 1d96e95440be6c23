"""How the daemon is reached: by the path, by the abstract name of the netns, or not at all."""

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
from tests.client.fake_daemon import Conversation, FakeDaemon, Script
from tests.client.pod import REFUSE, Pod
from tests.client.run import SLACK, Client, Run, in_time, wait_until

pytestmark = pytest.mark.root

NAME = "@drainmon"
UID_101 = ["setpriv", "--reuid=101", "--regid=101", "--clear-groups"]
"""nginx-unprivileged's user."""


def drained(daemon: Conversation) -> None:
    daemon.head()
    daemon.line(result="drained", in_flight=0)


def cut_short(daemon: Conversation) -> None:
    """An answer that no other daemon of these tests gives, nor the client alone."""
    daemon.head()
    daemon.line(result="cut", in_flight=7)


def dies(daemon: Conversation) -> None:
    daemon.head()
    daemon.phase("settling", 1)


def hangs(daemon: Conversation) -> None:
    daemon.hang()


def answers_garbage(daemon: Conversation) -> None:
    daemon.raw(b"SSH-2.0-OpenSSH_9.2\r\n")


def refuses(daemon: Conversation) -> None:
    daemon.head("403 Forbidden", "application/json")
    daemon.raw(b'{"error":"cannot drain: not of this pod"}')


def ask(where: Netns, client: Path, way: Path | str, *arguments: str) -> Run:
    """A client that must not count by itself: exit 3 means that it gave up on the daemon."""
    flags = ["--no-pod-log", "--on-missing=fail", f"--socket={way}", *arguments]
    return Client(where.command([str(client), *flags])).end()


def in_flight(pod: Pod) -> tuple[socket.socket, socket.socket]:
    """A connection that has begun a request: it holds a drain for as long as it is open."""
    theirs, ours = pod.connect()
    theirs.sendall(b"G")
    return theirs, ours


def test_the_path_comes_first(pod_netns: Netns, client: Path, socket_path: Path) -> None:
    with (
        FakeDaemon(socket_path, drained) as at_path,
        FakeDaemon(NAME, cut_short, netns=pod_netns) as by_name,
    ):
        ended = ask(pod_netns, client, socket_path, "--verbose")
    assert ended.status == 0
    assert ended.lines[0] == f"the daemon answers at {socket_path}"
    assert (len(at_path.requests), len(by_name.requests)) == (1, 0)


@pytest.mark.parametrize("path_is", ["missing", "stale", "no socket", "in no folder"])
def test_a_path_that_cannot_be_connected_to_is_no_delay(
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


def test_an_unprivileged_user_gets_in_by_name(
    pod_netns: Netns, for_all: Path, socket_path: Path
) -> None:
    """The path's folder is closed to it."""
    argv = [*UID_101, str(for_all), "--no-pod-log", f"--socket={socket_path}", "--verbose"]
    with (
        FakeDaemon(socket_path, cut_short),
        FakeDaemon(NAME, drained, netns=pod_netns) as by_name,
    ):
        ended = Client(pod_netns.command(argv)).end()
        assert (ended.status, len(by_name.requests)) == (0, 1)
    assert f"the daemon answers at {NAME}" in ended.lines


def test_when_both_fail_it_says_why_of_both(pod: Pod) -> None:
    ended = pod.start("--timeout=10s").end()
    assert ended.status == 0
    assert ended.lines[0] == (
        f"cannot use the daemon: cannot connect {pod.socket_path}: No such file or directory, "
        f"nor {NAME}: Connection refused; counting without it"
    )
    assert ended.last.startswith("drained, 0 in flight")


@pytest.mark.parametrize(
    ("choice", "status", "end"),
    [("pass", 0, "; not waiting, as --on-missing=pass wants"), ("fail", 3, "")],
)
def test_who_does_not_want_to_count_ends_when_both_failed(
    pod: Pod, choice: str, status: int, end: str
) -> None:
    ended = pod.start(f"--on-missing={choice}").end()
    assert (ended.status, ended.lines) == (
        status,
        [
            f"cannot use the daemon: cannot connect {pod.socket_path}: No such file or "
            f"directory, nor {NAME}: Connection refused{end}"
        ],
    )


def test_a_profile_that_denies_both_leaves_it_alone(pod: Pod) -> None:
    """As AppArmor may: connect(2) says EACCES."""
    denied = [sys.executable, REFUSE, "connect", "EACCES", "--"]
    with (
        FakeDaemon(pod.socket_path, drained) as at_path,
        FakeDaemon(NAME, drained, netns=pod.netns) as by_name,
    ):
        ended = pod.start("--timeout=20s", under=denied).end()
    assert ended.lines[0] == (
        f"cannot use the daemon: cannot connect {pod.socket_path}: Permission denied, "
        f"nor {NAME}: Permission denied; counting without it"
    )
    assert (ended.status, at_path.requests, by_name.requests) == (0, [], [])


@pytest.mark.parametrize("name", ["@drainmon-test", "@" + "x" * 107, "@a/b c"])
def test_a_name_is_the_only_way_in(pod_netns: Netns, checked_client: Path, name: str) -> None:
    with FakeDaemon(NAME, cut_short, netns=pod_netns) as other:
        ended = ask(pod_netns, checked_client, name)
        assert ended.status == 3
        assert ended.last == f"cannot use the daemon: cannot connect {name}: Connection refused"
        with FakeDaemon(name, drained, netns=pod_netns) as daemon:
            assert ask(pod_netns, checked_client, name).status == 0
    assert (len(other.requests), len(daemon.requests)) == (0, 1)


@pytest.mark.parametrize("near", ["@name\0", "@name".ljust(108, "\0"), "@nam", "@named"])
def test_a_name_is_matched_to_the_byte(pod_netns: Netns, client: Path, near: str) -> None:
    with FakeDaemon(near, drained, netns=pod_netns) as other:
        assert ask(pod_netns, client, "@name").status == 3
    assert other.requests == []


def test_a_name_of_another_network_is_no_way_in(
    pod_netns: Netns, outside: Netns, client: Path, socket_path: Path
) -> None:
    with FakeDaemon(NAME, drained, netns=outside) as other:
        assert ask(pod_netns, client, socket_path).status == 3
    assert other.requests == []


def test_a_daemon_that_restarts_behind_the_name_gets_the_drain_back(pod: Pod) -> None:
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
        waiting.line("the daemon is back, it counts again")
        theirs.close()
        ours.close()
        released.set()
        ended = waiting.end()
    assert (ended.status, len(second.requests)) == (0, 1)
    assert ended.last.startswith("drained, 0 in flight")


def test_while_it_counts_alone_either_way_may_open(pod: Pod) -> None:
    """Both are tried each second, whichever was used before."""
    in_flight(pod)
    waiting = pod.start("--timeout=30s", "--no-roll", "--verbose")
    waiting.line("cannot use the daemon: cannot connect ")
    with ExitStack() as stack:
        for where in (NAME, pod.socket_path, NAME):
            with FakeDaemon(where, dies, netns=None if where == pod.socket_path else pod.netns):
                waiting.line("the daemon is back, it counts again")
                assert waiting.line("the daemon answers at ").endswith(f" {where}")
                waiting.line("cannot use the daemon: it closed the connection; counting")
        stack.enter_context(FakeDaemon(pod.socket_path, drained))
        assert waiting.end().status == 0


QUICK_FAILURES = [
    (answers_garbage, "it answers with garbage"),
    (refuses, "it says: cannot drain: not of this pod"),
    (lambda daemon: None, "it closed the connection"),
]


@pytest.mark.parametrize(("script", "said"), QUICK_FAILURES, ids=["garbage", "refusal", "close"])
def test_who_fails_at_the_path_is_asked_by_name_at_once(
    pod: Pod, script: Script, said: str
) -> None:
    in_flight(pod)
    with (
        FakeDaemon(pod.socket_path, script),
        FakeDaemon(NAME, drained, netns=pod.netns) as by_name,
    ):
        ended = pod.start("--timeout=20s", "--no-roll").end()
    assert ended.status == 0
    assert ended.seconds < SLACK
    assert ended.lines[0] == f"cannot use the daemon: {said}; counting without it"
    assert "the daemon is back, it counts again" in ended.lines
    assert by_name.requests[0]["elapsed"] < 0.4


def test_who_hangs_at_the_path_is_asked_by_name_while_it_counts_alone(pod: Pod) -> None:
    in_flight(pod)
    go = threading.Event()

    def slow(daemon: Conversation) -> None:
        while not go.wait(0.02) and not daemon.over.is_set():
            pass
        drained(daemon)

    with (
        FakeDaemon(pod.socket_path, hangs),
        FakeDaemon(NAME, slow, netns=pod.netns) as by_name,
    ):
        waiting = pod.start("--timeout=8s", "--no-roll")
        lost = waiting.line("cannot use the daemon: ")
        assert lost == "cannot use the daemon: it does not answer; counting without it"
        waiting.line("settling, 1 in flight (ESTABLISHED 1)")
        wait_until(lambda: len(by_name.requests) == 1, "the other way in")
        go.set()
        waiting.line("the daemon is back, it counts again")
        ended = waiting.end()
    assert ended.status == 0
    assert 2 <= by_name.requests[0]["elapsed"] < 8


@pytest.mark.parametrize("choice", ["pass", "fail"])
@pytest.mark.parametrize("script", [hangs, answers_garbage, refuses, lambda daemon: None])
def test_a_failure_at_the_path_is_not_yet_one_of_both(
    pod_netns: Netns, client: Path, socket_path: Path, script: Script, choice: str
) -> None:
    arguments = ["--timeout=2s", f"--on-missing={choice}"]
    with (
        FakeDaemon(socket_path, script),
        FakeDaemon(NAME, cut_short, netns=pod_netns) as by_name,
    ):
        ended = ask(pod_netns, client, socket_path, *arguments)
    assert (ended.status, len(by_name.requests)) == (1, 1)
    assert ended.last.startswith("cut, 7 in flight")


@pytest.mark.parametrize(
    ("at_path", "by_name", "said"),
    [
        (None, answers_garbage, "cannot connect {path}: No such file or directory, "
         "and at @drainmon it answers with garbage"),
        (answers_garbage, None, "it answers with garbage, "
         "and cannot connect @drainmon: Connection refused"),
        (answers_garbage, refuses, "it answers with garbage, "
         "and at @drainmon it says: cannot drain: not of this pod"),
        (hangs, hangs, "it does not answer, and at @drainmon it does not answer"),
    ],
)  # fmt: skip
def test_what_each_way_in_failed_with_is_said(
    pod_netns: Netns,
    checked_client: Path,
    socket_path: Path,
    at_path: Script | None,
    by_name: Script | None,
    said: str,
) -> None:
    def once() -> Run:
        with ExitStack() as stack:
            if at_path:
                stack.enter_context(FakeDaemon(socket_path, at_path))
            if by_name:
                stack.enter_context(FakeDaemon(NAME, by_name, netns=pod_netns))
            return ask(pod_netns, checked_client, socket_path, "--timeout=2s")

    ended = in_time(1, once)
    assert ended.status == 3
    assert ended.last == f"cannot use the daemon: {said.format(path=socket_path)}"


def test_a_path_that_fails_in_each_round_does_not_take_the_name_s_turn(pod: Pod) -> None:
    """The daemon at the name starts while the one at the path answers with garbage."""
    in_flight(pod)
    with FakeDaemon(pod.socket_path, answers_garbage):
        waiting = pod.start("--timeout=20s", "--no-roll")
        waiting.line("waiting, 1 in flight")
        with FakeDaemon(NAME, drained, netns=pod.netns):
            waiting.line("the daemon is back, it counts again")
            assert waiting.end().status == 0


def fill(stack: ExitStack, netns: Netns) -> None:
    """Connect to NAME until there is no room in its backlog."""
    full = 0
    while not full:
        other = stack.enter_context(netns.socket(socket.AF_UNIX))
        other.setblocking(False)
        full = other.connect_ex("\0drainmon")


def test_it_waits_in_line_behind_a_name(pod_netns: Netns, client: Path, socket_path: Path) -> None:
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
    """The pid of who connected."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder)


def test_a_full_backlog_behind_a_name_does_not_hold_it(pod: Pod) -> None:
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
