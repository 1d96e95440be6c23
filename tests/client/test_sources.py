"""The client's own sources: sock_diag, and /proc/self/net where sock_diag is refused."""

import socket
import sys
from collections.abc import Sequence

import pytest

from tests.client.pod import REFUSE, WITHOUT_DIAG, Pod
from tests.client.run import reports

pytestmark = pytest.mark.root

SUBSET = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c",
          'mount -t proc -o subset=pid none /proc && exec "$@"', "sh"]  # fmt: skip
FILES = "looks at sockets by the files of /proc/self/net, as sock_diag says: "


@pytest.mark.parametrize(
    ("under", "source"),
    [
        ([], "looks at sockets by sock_diag"),
        (WITHOUT_DIAG, FILES + "Operation not permitted"),
        ([sys.executable, REFUSE, "send"], FILES + "Operation not permitted"),
        ([sys.executable, REFUSE, "receive"], FILES + "Operation not permitted"),
        (SUBSET, "looks at sockets by sock_diag"),
        ([*SUBSET, *WITHOUT_DIAG], FILES + "Operation not permitted"),
    ],
)
def test_each_source_finds_connections_in_flight(
    pod: Pod, under: Sequence[str], source: str
) -> None:
    ends = [pod.connect(address) for address in ("10.77.0.1", "fd77::1")]
    for theirs, _ in ends:
        theirs.sendall(b"G")
    half_closed, ours = pod.connect()
    half_closed.shutdown(socket.SHUT_WR)
    waiting = pod.start("--verbose", "--no-roll", "--timeout=20s", under=under)
    assert waiting.line("looks at sockets by") == source
    waiting.line("waiting, 3 in flight (ESTABLISHED 2, CLOSE_WAIT 1), ")
    for end in (*ends[0], *ends[1], half_closed, ours):
        end.close()
    assert waiting.end().status == 0


@pytest.mark.parametrize("under", [[], WITHOUT_DIAG], ids=["sock_diag", "files"])
def test_many_sockets_are_counted_by_each_source(pod: Pod, under: Sequence[str]) -> None:
    """More sockets than one answer, or one read, holds."""
    for _ in range(500):
        theirs, _ = pod.connect()
        theirs.sendall(b"G")
    ended = reports(
        "deadline, 500 in flight (ESTABLISHED 500)",
        lambda: pod.start("--timeout=1.5s", "--no-roll", under=under).end(),
    )
    assert ended.status == 1


def test_an_unused_connection_is_in_flight_without_sock_diag(pod: Pod) -> None:
    """The files do not show how much was sent."""
    pod.connect()
    ended = pod.start("--timeout=2.7s", "--min-wait=2.4s", "--no-roll", under=WITHOUT_DIAG).end()
    assert ended.status == 1
    assert "deadline, 1 in flight (ESTABLISHED 1), " in ended.output
