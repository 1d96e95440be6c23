"""Clients that are still sent to the pod at its deadline, and connections that stay."""

import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager

import pytest

from tests.client.pod import WITHOUT_DIAG, Pod
from tests.client.run import Run
from tests.sent_clients import clients_sent

pytestmark = pytest.mark.root

SENT = "clients are still being sent here"
OPEN_AT_ONCE = 8


def sent_to(pod: Pod) -> AbstractContextManager[None]:
    def close(ends: tuple[socket.socket, socket.socket]) -> None:
        for end in ends:
            end.close()

    return clients_sent(pod.connect, close, OPEN_AT_ONCE, 0.25)


def run_to_deadline(pod: Pod, *arguments: str, under: Sequence[str] = ()) -> Run:
    """A hook that reports its deadline. On a busy machine a hook may be late, and the limit on its
    overtime then ends it without a word."""
    for _ in range(10):
        ended = pod.start(*arguments, "--no-roll", under=under).end()
        if "\ndrainmon: deadline, " in ended.output:
            break
    return ended


def deadline(ended: Run) -> str:
    """The reason of the deadline line."""
    assert ended.status == 1
    (line,) = (line for line in ended.lines if line.startswith("deadline, "))
    return line.partition(" s: ")[2]


@pytest.mark.parametrize("under", [[], WITHOUT_DIAG], ids=["sock_diag", "files"])
def test_a_deadline_reports_clients_that_are_still_sent(pod: Pod, under: list[str]) -> None:
    with sent_to(pod):
        ended = run_to_deadline(pod, "--timeout=3s", under=under)
    assert any(line.startswith("waiting, ") and line.endswith(f"; {SENT}") for line in ended.lines)
    said = deadline(ended)
    assert said.startswith("the timeout of 3 s is over; the connections left are at most ")
    assert f" s old: {SENT} (they use the pod's IP directly, or the load balancer " in said
    assert sum(line.startswith("left: ") for line in ended.lines) == 3 + 1
    assert ended.last.endswith(" more")


def test_a_deadline_does_not_take_old_connections_for_new_ones(pod: Pod) -> None:
    for _ in range(3 * OPEN_AT_ONCE):
        pod.connect()[0].sendall(b"GET ")
    with sent_to(pod):
        ended = run_to_deadline(pod, "--timeout=1.5s")
    assert deadline(ended).startswith("the timeout of 1.5 s is over")
    assert "are at most" not in ended.output
    assert sum(line.startswith("left: ") for line in ended.lines) == 20 + 1
