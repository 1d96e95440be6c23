"""A daemon that does not answer, or dies during the drain: the client counts until one is back."""

import socket
import time
from contextlib import ExitStack

import pytest

from tests.client.fake_daemon import Conversation, FakeDaemon
from tests.client.pod import Pod
from tests.client.run import SLACK, in_time, reports, wait_until

pytestmark = pytest.mark.root


def test_client_counts_alone_when_accept_hangs(pod: Pod) -> None:
    pod.connect()
    with FakeDaemon(pod.socket_path):
        counted = "settling, 1 in flight (ESTABLISHED 1), 0.2 s"
        ended = reports(counted, lambda: pod.start("--timeout=0.8s", "--no-roll").end())
    assert ended.status == 1
    assert ended.lines[0] == "cannot use the daemon: it does not answer; counting without it"
    assert ended.lines[1].startswith(counted)


def test_a_full_backlog_does_not_delay_the_timeout(pod: Pod) -> None:
    pod.connect()
    with FakeDaemon(pod.socket_path, backlog=0), ExitStack() as waiting_in_line:
        for _ in range(3):
            other = waiting_in_line.enter_context(socket.socket(socket.AF_UNIX))
            other.setblocking(False)
            other.connect_ex(str(pod.socket_path))
        ended = in_time(0.8, lambda: pod.start("--timeout=0.8s", "--no-roll").end())
    assert (ended.status, "it does not answer" in ended.lines[0]) == (1, True)


def test_client_counts_alone_until_a_daemon_is_back(pod: Pod) -> None:
    def dies(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("settling", 1)

    def drains(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("waiting", 7)
        time.sleep(0.3)
        daemon.line(result="drained", in_flight=0)

    pod.connect()
    with FakeDaemon(pod.socket_path, dies) as first:
        waiting = pod.start("--timeout=20s", "--no-roll")
        lost = waiting.line("cannot use the daemon")
    assert lost == "cannot use the daemon: it closed the connection; counting without it"
    waiting.line("waiting, 1 in flight")
    with FakeDaemon(pod.socket_path, drains) as second:
        waiting.line("the daemon is back and counts again")
        ended = waiting.end()
    assert ended.status == 0
    assert ended.last.startswith("drained, 0 in flight")
    (asked_first,), (asked_again,) = first.requests, second.requests
    assert asked_first["elapsed"] < 0.4
    assert 0.9 < asked_again["elapsed"] < 5
    assert asked_again["timeout"] == asked_first["timeout"] == 19.75


def test_a_returning_daemon_that_is_silent_does_not_stop_the_counting(pod: Pod) -> None:
    def dies(daemon: Conversation) -> None:
        daemon.head()

    def hangs(daemon: Conversation) -> None:
        daemon.head()
        daemon.hang()

    theirs, ours = pod.connect()
    with FakeDaemon(pod.socket_path, dies, hangs) as daemon:
        waiting = pod.start("--timeout=20s", "--no-roll")
        waiting.line("waiting, 1 in flight")
        wait_until(lambda: len(daemon.requests) == 2, "the second attempt")
        theirs.close()
        ours.close()
        ended = waiting.end()
    assert ended.status == 0
    assert "is back" not in ended.output


def rolled_and_dies(daemon: Conversation) -> None:
    daemon.head()
    daemon.phase("waiting", 1, rolls=1, rolled=0.0)


def test_client_does_not_repeat_the_daemons_roll(pod: Pod) -> None:
    with FakeDaemon(pod.socket_path, rolled_and_dies):
        ended = pod.start("--min-wait=0s", "--timeout=20s").end()
    assert ended.status == 0
    assert "roll" not in ended.output
    assert ended.seconds < 1 + SLACK


def test_client_settles_after_a_roll_that_another_hook_caused(pod: Pod) -> None:
    """The hook joined a drain that another hook had begun long before."""
    with FakeDaemon(pod.socket_path, rolled_and_dies):
        ended = pod.start("--min-wait=2s", "--timeout=20s").end()
    assert ended.status == 0
    assert ended.seconds >= 2


def test_the_next_daemon_learns_of_earlier_rolls(pod: Pod) -> None:
    def dies_waiting(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("waiting", 1, rolls=3, rolled=0.125)
        daemon.phase("waiting", 1, rolls="4", rolled=1)
        daemon.phase("waiting", 1, rolls=5)

    def drains(daemon: Conversation) -> None:
        daemon.head()
        daemon.line(result="drained", rolls=3, rolled=0.125)

    pod.connect()
    with FakeDaemon(pod.socket_path, dies_waiting, drains) as daemon:
        assert pod.start("--timeout=20s", "--no-roll").end().status == 0
    first, second = daemon.requests
    assert "rolls" not in first
    assert (second["rolls"], second["rolled"]) == (3, 0.125)


def test_client_rolls_if_the_daemon_has_not_rolled(pod: Pod) -> None:
    theirs, ours = pod.connect()
    theirs.sendall(b"GET /")
    ours.recv(10)

    def dies_waiting(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("waiting", 1)

    with FakeDaemon(pod.socket_path, dies_waiting):
        waiting = pod.start("--timeout=3s")
        waiting.line("cannot use the daemon: it closed the connection")
    waiting.line("cannot roll nginx: no nginx master of this pod")  # so the client tried to roll
    assert waiting.end().status == 1
