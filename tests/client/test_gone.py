"""Unreachable peers, recognized by the kernel's retransmissions, and peers that only seem so."""

import os
import socket
import threading
import time
from collections.abc import Sequence

import pytest

from drainmon.model.standing import FIN_UNANSWERED
from tests.client.library import Library, Row
from tests.client.pod import WITHOUT_DIAG, Pod
from tests.client.run import wait_until
from tests.client.test_diag import ask

pytestmark = pytest.mark.root

BOTH = pytest.mark.parametrize("under", [[], WITHOUT_DIAG], ids=["sock_diag", "files"])


def fill(ours: socket.socket) -> None:
    """Write until the kernel takes no more: the reader's window is closed."""
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            ours.send(b"x" * 65536)


@BOTH
def test_drain_waits_for_slow_peers_but_not_for_unreachable_ones(
    pod: Pod, under: Sequence[str]
) -> None:
    established, ours = pod.connect()
    closed, closing = pod.connect("fd77::1")
    idle, idle_closing = pod.connect()
    half_closed, answering = pod.connect()
    slow, slow_ours = pod.connect()
    fill(slow_ours)
    half_closed.shutdown(socket.SHUT_WR)
    for gone in (established, closed, idle, half_closed):
        pod.cut_off(gone)
    ours.sendall(b"x" * 1000)
    closing.sendall(b"x" * 1000)
    for end in (closing, idle_closing, answering):
        end.close()  # FIN_WAIT1, twice, and LAST_ACK
    waiting = pod.start("--unreachable-after=1s", "--timeout=25s", "--no-roll", under=under)
    waiting.line("waiting, 1 in flight (ESTABLISHED 1), 4 unreachable, ")
    slow_ours.close()
    waiting.line("waiting, 1 in flight (FIN_WAIT1 1), 4 unreachable, ")
    reading = threading.Thread(target=read_all, args=[slow])
    reading.start()
    ended = waiting.end()
    reading.join()
    assert ended.status == 0
    assert ended.last.startswith("drained, 0 in flight, 4 unreachable, ")


def read_all(connection: socket.socket) -> None:
    while connection.recv(1 << 20):
        pass


@BOTH
def test_a_peer_with_only_a_fin_unacknowledged_is_given_up_sooner(
    pod: Pod, under: Sequence[str]
) -> None:
    theirs, ours = pod.connect()
    pod.cut_off(theirs)
    ours.close()
    closed = time.monotonic()
    waiting = pod.start("--unreachable-after=1m", "--timeout=20s", "--no-roll", under=under)
    waiting.line("waiting, 1 in flight (FIN_WAIT1 1)")
    ended = waiting.end()
    assert time.monotonic() - closed > FIN_UNANSWERED
    assert ended.status == 0
    assert ended.last.startswith("drained, 0 in flight, 1 unreachable, ")


def test_unreachable_after_zero_gives_up_no_peer(pod: Pod) -> None:
    theirs, ours = pod.connect()
    pod.cut_off(theirs)
    ours.close()
    ended = pod.start("--unreachable-after=0", "--timeout=4s", "--no-roll").end()
    assert ended.status == 1
    assert ended.last.startswith("left: 10.77.0.2:")


def test_an_idle_peer_that_loses_one_packet_is_not_unreachable(pod: Pod, library: Library) -> None:
    """Its last acknowledgement is older than the limit: there was nothing to acknowledge."""
    limit = 1_000
    theirs, ours = pod.connect()
    theirs.sendall(b"G")
    ours.recv(1)
    inode = str(os.fstat(ours.fileno()).st_ino)
    request = library.diag_request(socket.AF_INET6, False, 1 << 1)

    def row() -> Row:
        said = library.diag(pod.netns.call(lambda: ask(request)))
        words = next(line.split()[2:] for line in said if line.split()[5:6] == [inode])
        numbers = [int(word) for word in words]
        names = ("state", "unsent", "unread", "inode", "retransmits", "probes_out", "rto",
                 "bytes_received", "bytes_sent", "idle_in", "idle_out", "idle_ack")  # fmt: skip
        return Row(counted=True, **dict(zip(names, numbers, strict=True)))

    wait_until(lambda: row().idle_ack > limit, "idleness")
    pod.cut_off(theirs)
    ours.sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    wait_until(lambda: row().retransmits > 0, "a retransmission")
    again = row()
    assert again.idle_ack > limit
    assert again.retransmits < 3  # one retransmission later the peer would be unreachable
    assert library.standing(again, limit)[0] == "in flight"
    wait_until(lambda: library.standing(row(), limit)[0] == "unreachable", "its end")
