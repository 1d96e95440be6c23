"""Source procfs alone with real sockets: by sock_diag and by rows."""

import errno
import socket
from pathlib import Path

import pytest

from drainmon.kernel import netns as kernel_netns
from drainmon.kernel.sock_diag import SockDiag
from tests.kernel.eyes import Eyes, Scene, eyes_on_pair, scene_of_eyes  # noqa: F401 - fixtures
from tests.kernel.pair import PORT, SERVER, Pair
from tests.waiting import eventually

pytestmark = pytest.mark.root


def test_an_orphan_without_a_tail_is_a_minisocket(scene: Scene) -> None:
    _, accepted = scene.connect()
    accepted.close()
    scene.check(FIN_WAIT2=1)
    eventually(lambda: scene.eyes.only().minisocket)  # a moment after the change of state


def test_a_half_open_handshake_is_not_counted(scene: Scene) -> None:
    scene.pair.send_syn()
    scene.check(SYN_RECV=1)
    assert scene.eyes.only().minisocket
    counts = scene.eyes.counters()
    assert (counts.by_state, counts.accepted) == ({}, 0)


def test_snapshot_has_the_accept_queue_and_its_limit(pair: Pair, eyes: Eyes) -> None:
    with pair.listen(backlog=7), pair.dial(), pair.dial():
        (listener,) = eyes.snapshot().listeners
        assert (listener.unaccepted, listener.limit) == (2, 7 if eyes.by_diag else None)


def test_snapshot_has_bytes_where_sock_diag_works(scene: Scene) -> None:
    client, accepted = scene.connect()
    known = scene.eyes.by_diag
    found = scene.eyes.only()
    assert (found.bytes_received, found.bytes_sent) == ((0, 0) if known else (None, None))
    client.sendall(b"GET /")
    eventually(lambda: scene.eyes.only().unread == 5)
    accepted.recv(5)
    accepted.sendall(b"x" * 1000)
    eventually(lambda: not scene.eyes.only().unsent)
    found = scene.eyes.only()
    assert (found.bytes_received, found.bytes_sent) == ((5, 1000) if known else (None, None))
    idles = (found.idle_in, found.idle_out, found.idle_ack)
    assert all(idle is not None and idle < 5 for idle in idles) is known
    assert 0.1 < found.rto < 5
    assert (found.retransmits, found.probes_out, found.orphan) == (0, 0, False)


def test_snapshot_has_retransmissions_and_orphans(scene: Scene) -> None:
    _, accepted = scene.connect()
    scene.pair.cut()
    accepted.sendall(b"x" * 100)
    eventually(lambda: scene.eyes.only().retransmits > 1)
    assert scene.eyes.only().unsent == 100
    assert not scene.eyes.only().orphan
    accepted.close()
    assert scene.eyes.only().orphan


def test_rows_are_read_when_sock_diag_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From one look to the next; no connection is taken for new."""
    scene.connect()
    scene.eyes.snapshot()

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "cannot enter the network namespace")

    monkeypatch.setattr(SockDiag, "tcp", refused)
    assert scene.eyes.only().bytes_received is None
    assert scene.eyes.only().opened is None
    monkeypatch.undo()
    monkeypatch.setattr(kernel_netns, "call_in", refused)
    other = scene.eyes.source.open(scene.eyes.pid)
    assert other.diag is None
    other.close()
    assert [s.state.name for s in scene.eyes.snapshot().sockets] == ["ESTABLISHED"]


def test_data_in_the_handshake_is_counted(scene: Scene) -> None:
    sysctl = Path("/proc/sys/net/ipv4/tcp_fastopen")
    scene.pair.server.call(lambda: sysctl.write_text("519"))
    scene.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    scene.pair.client.call(lambda: sysctl.write_text("519"))
    for _ in range(2):  # the first one fetches the cookie
        client = scene.stack.enter_context(scene.pair.client.socket())
        client.sendto(b"GET /", socket.MSG_FASTOPEN, (SERVER, PORT))
        accepted = scene.stack.enter_context(scene.listener.accept()[0])
        assert accepted.recv(5) == b"GET /"
    if scene.eyes.by_diag:
        assert [s.bytes_received for s in scene.eyes.snapshot().sockets] == [5, 5]


def test_tables_of_many_pages_are_read_whole(scene: Scene) -> None:
    ends = [scene.connect() for _ in range(200)]
    scene.check(ESTABLISHED=200)
    for client, accepted in ends:
        accepted.shutdown(socket.SHUT_WR)
        client.close()
    scene.check(TIME_WAIT=200)
    assert not scene.eyes.snapshot().in_flight()
