"""Failures of one way in, or of both: which daemon the client uses next, and its messages."""

import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig.netns import Netns
from tests.client.fake_daemon import Conversation, FakeDaemon, Script
from tests.client.pod import REFUSE, Pod
from tests.client.run import SLACK, Run, in_time, wait_until
from tests.client.ways_in import (
    NAME,
    answers_garbage,
    ask,
    cut_short,
    drained,
    hangs,
    in_flight,
    refuses,
)

pytestmark = pytest.mark.root

QUICK_FAILURES = [
    (answers_garbage, "it answers with garbage"),
    (refuses, "it says: cannot drain: not of this pod"),
    (lambda daemon: None, "it closed the connection"),
]


@pytest.mark.parametrize(("script", "said"), QUICK_FAILURES, ids=["garbage", "refusal", "close"])
def test_the_name_is_tried_at_once_after_a_failure_at_the_path(
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
    assert "the daemon is back and counts again" in ended.lines
    assert by_name.requests[0]["elapsed"] < 0.4


def test_the_name_is_tried_while_the_path_hangs(pod: Pod) -> None:
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
        waiting.counts("1 in flight (ESTABLISHED 1)")
        wait_until(lambda: len(by_name.requests) == 1, "the other way in")
        go.set()
        waiting.line("the daemon is back and counts again")
        ended = waiting.end()
    assert ended.status == 0
    assert 2 <= by_name.requests[0]["elapsed"] < 8


@pytest.mark.parametrize("choice", ["pass", "fail"])
@pytest.mark.parametrize("script", [hangs, answers_garbage, refuses, lambda daemon: None])
def test_a_failure_at_the_path_alone_does_not_end_the_client(
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
def test_the_failure_of_each_way_in_is_reported(
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


def test_a_path_that_keeps_failing_does_not_keep_the_name_from_its_turn(pod: Pod) -> None:
    """The daemon at the name starts while the one at the path answers with garbage."""
    in_flight(pod)
    with FakeDaemon(pod.socket_path, answers_garbage):
        waiting = pod.start("--timeout=20s", "--no-roll")
        waiting.line("waiting, 1 in flight")
        with FakeDaemon(NAME, drained, netns=pod.netns):
            waiting.line("the daemon is back and counts again")
            assert waiting.end().status == 0


def test_failures_of_both_ways_in_are_reported(pod: Pod) -> None:
    ended = pod.start("--timeout=10s").end()
    assert ended.status == 0
    assert ended.lines[0] == (
        f"cannot use the daemon: cannot connect {pod.socket_path}: No such file or directory, "
        f"nor {NAME}: Connection refused; counting without it"
    )
    assert ended.last.startswith("drained, 0 in flight")


@pytest.mark.parametrize(
    ("choice", "status", "end"),
    [("pass", 0, "; not waiting (--on-missing=pass)"), ("fail", 3, "")],
)
def test_client_ends_when_both_ways_in_fail_unless_fallback_is_chosen(
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


def test_client_counts_alone_when_a_profile_denies_both_ways_in(pod: Pod) -> None:
    """As AppArmor may: connect(2) returns EACCES."""
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
