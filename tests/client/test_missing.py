"""Every way in which a daemon can fail its client, and each --on-missing that a hook may choose."""

import threading
from contextlib import AbstractContextManager, nullcontext

import pytest

from tests.client.fake_daemon import Conversation, FakeDaemon, Script
from tests.client.pod import Pod
from tests.client.run import Run, in_time

pytestmark = pytest.mark.root

TIMEOUT = 1.5
"""Seconds: the client connects again a second after it lost the daemon."""

RELEASED = threading.Event()
"""Set when the connection has gone; a daemon that is back waits for it."""


def dies(daemon: Conversation) -> None:
    daemon.head()
    daemon.phase("settling", 1)


def stays_away(daemon: Conversation) -> None:
    """Close every connection at once."""


def returns(daemon: Conversation) -> None:
    """Report one connection in flight until it has gone."""
    daemon.head()
    while not RELEASED.wait(0.05) and not daemon.over.is_set():
        daemon.phase("waiting", 1)
    daemon.line(result="drained", in_flight=0)


def hangs(daemon: Conversation) -> None:
    daemon.hang()


def answers_garbage(daemon: Conversation) -> None:
    daemon.raw(b"SSH-2.0-OpenSSH_9.2\r\n")


def cannot_see(daemon: Conversation) -> None:
    """As for a sandbox, whose sockets are in the guest kernel."""
    daemon.head("501 Not Implemented", "application/json")
    daemon.raw(b'{"error":"cannot drain: runsc: the daemon cannot see into gVisor"}')


FAILURES: dict[str, tuple[list[Script], str]] = {
    "missing": ([], "No such file or directory, nor @drainmon: Connection refused"),
    "dying": ([dies, stays_away], "it closed the connection"),
    "returning": ([dies, returns], "it closed the connection"),
    "hanging": ([hangs], "it does not answer"),
    "blind": ([cannot_see], "it says: cannot drain: runsc: the daemon cannot see into gVisor"),
    "garbage": ([answers_garbage], "it answers with garbage"),
}


def failing(how: str, pod: Pod) -> AbstractContextManager[object]:
    RELEASED.clear()
    scripts, _ = FAILURES[how]
    return FakeDaemon(pod.socket_path, *scripts) if scripts else nullcontext()


def whole_run(how: str, pod: Pod, *arguments: str) -> Run:
    with failing(how, pod):
        return pod.start(f"--timeout={TIMEOUT}", "--no-roll", *arguments).end()


@pytest.mark.parametrize(("choice", "status"), [("pass", 0), ("fail", 3)])
@pytest.mark.parametrize("how", FAILURES)
def test_client_ends_at_the_first_failure_unless_fallback_is_chosen(
    pod: Pod, how: str, choice: str, status: int
) -> None:
    pod.connect()
    arguments = (how, pod, f"--on-missing={choice}")
    ended = in_time(TIMEOUT / 4, lambda: whole_run(*arguments))
    assert ended.status == status
    assert ended.last.startswith("cannot use the daemon: ")
    assert FAILURES[how][1] in ended.last
    assert ended.last.endswith("(--on-missing=pass)") == (choice == "pass")


@pytest.mark.parametrize("how", FAILURES)
def test_a_connection_in_flight_holds_the_fallback_until_the_timeout(pod: Pod, how: str) -> None:
    pod.connect()
    ended = in_time(TIMEOUT, lambda: whole_run(how, pod, "--on-missing=fallback"))
    assert ended.status == 1
    assert ended.seconds >= TIMEOUT
    assert f"{FAILURES[how][1]}; counting without it" in ended.output
    assert ("the daemon is back" in ended.output) == (how == "returning")
    assert "deadline, 1 in flight" in ended.output


@pytest.mark.parametrize("how", FAILURES)
def test_the_end_of_the_connection_ends_the_fallback(pod: Pod, how: str) -> None:
    theirs, ours = pod.connect()
    theirs.sendall(b"G")
    with failing(how, pod):
        waiting = pod.start("--timeout=6s", "--no-roll", "--on-missing=fallback")
        waiting.line("cannot use the daemon: ")
        waiting.line("waiting, 1 in flight (ESTABLISHED 1)")
        if how == "returning":
            waiting.line("the daemon is back and counts again")
        assert waiting.process.poll() is None
        theirs.close()
        ours.close()
        RELEASED.set()
        ended = waiting.end()
    assert ended.status == 0  # before the timeout
    assert ended.last.startswith("drained, 0 in flight")
