"""Every way in which an accepted connection ends: counters and snapshot equal ss at each step."""

import contextlib
import os
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.rig.churn import reset
from drainmon.model.snapshot import Snapshot
from tests.kernel.pair import PORT, Pair
from tests.kernel.probe import Probe
from tests.kernel.scene import PairScene
from tests.waiting import eventually

pytestmark = pytest.mark.root

TCP_USER_TIMEOUT = 18
MUCH = b"x" * (8 << 20)


class Scene(PairScene):
    def __init__(self, pair: Pair, probe: Probe, stack: contextlib.ExitStack) -> None:
        super().__init__(pair, stack)
        self.probe = probe

    def snapshot(self) -> Snapshot:
        return self.probe.snapshot(self.pair.server)

    def counters(self) -> Counter[str]:
        return self.probe.counters(self.pair.server)


@pytest.fixture
def scene(pair: Pair, probe: Probe) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        yield Scene(pair, probe, stack)


def test_client_closes_first(scene: Scene) -> None:
    client, accepted = scene.connect()
    scene.check(ESTABLISHED=1)
    client.close()
    scene.check(CLOSE_WAIT=1)
    accepted.close()
    scene.check()


def test_client_closes_first_and_the_link_is_cut(scene: Scene) -> None:
    client, accepted = scene.connect()
    client.close()
    scene.check(CLOSE_WAIT=1)
    scene.pair.cut()
    accepted.close()
    scene.check(LAST_ACK=1)
    scene.pair.mend()
    scene.check()


def test_server_closes_first(scene: Scene) -> None:
    client, accepted = scene.connect()
    accepted.shutdown(socket.SHUT_WR)
    scene.check(FIN_WAIT2=1)
    client.close()
    scene.check(TIME_WAIT=1)


def test_server_closes_first_and_is_orphaned(scene: Scene) -> None:
    _, accepted = scene.connect()
    accepted.close()
    scene.check(FIN_WAIT2=1)
    eventually(lambda: scene.counters() == Counter())  # the event may come after the snapshot


def test_half_closed_client_still_receives(scene: Scene) -> None:
    client, accepted = scene.connect()
    client.shutdown(socket.SHUT_WR)
    scene.check(CLOSE_WAIT=1)
    accepted.sendall(b"late")
    assert client.recv(4) == b"late"
    scene.check(CLOSE_WAIT=1)


def test_an_orphan_with_a_tail_stays_in_flight(scene: Scene) -> None:
    client, accepted = scene.connect()
    sent = _fill(accepted)
    accepted.close()
    scene.check(FIN_WAIT1=1)
    (tail,) = scene.snapshot().sockets
    assert 0 < tail.unsent <= sent + 1
    assert tail.in_flight
    received = 0
    while data := client.recv(1 << 20):
        received += len(data)
    assert received == sent
    client.close()
    scene.check(TIME_WAIT=1)


def test_process_killed_with_a_tail(scene: Scene) -> None:
    client, accepted = scene.connect()
    _fill(accepted)
    worker = subprocess.Popen(["sleep", "60"], pass_fds=[accepted.fileno()])
    accepted.close()
    scene.check(ESTABLISHED=1)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    scene.check(FIN_WAIT1=1)
    reset(client)
    scene.check()


def test_simultaneous_close(scene: Scene) -> None:
    client, accepted = scene.connect()
    scene.pair.cut()
    client.shutdown(socket.SHUT_WR)
    accepted.shutdown(socket.SHUT_WR)
    scene.check(FIN_WAIT1=1)
    scene.pair.mend()
    scene.check(TIME_WAIT=1)


@pytest.mark.parametrize("data", [b"", b"request"])
def test_reset_by_client(scene: Scene, data: bytes) -> None:
    client, _ = scene.connect()
    client.sendall(data)
    reset(client)
    scene.check()


def test_close_with_unread_data(scene: Scene) -> None:
    client, accepted = scene.connect()
    client.sendall(b"never read")
    eventually(lambda: accepted.recv(1, socket.MSG_PEEK))
    accepted.close()
    scene.check()


def test_client_resets_during_the_tail(scene: Scene) -> None:
    client, accepted = scene.connect()
    _fill(accepted)
    accepted.close()
    scene.check(FIN_WAIT1=1)
    reset(client)
    scene.check()


def test_reset_by_server(scene: Scene) -> None:
    _, accepted = scene.connect()
    reset(accepted)
    scene.check()


def test_killed_by_the_administrator(scene: Scene) -> None:
    scene.connect()
    kill = ["ss", "-K", "-t", "-n", "state", "established", f"sport = :{PORT}"]
    subprocess.run(scene.pair.server.command(kill), check=True, capture_output=True)
    scene.check()


def test_closed_in_the_accept_queue(scene: Scene) -> None:
    scene.stack.enter_context(scene.pair.dial())
    scene.check(ESTABLISHED=1)
    (listener,) = scene.snapshot().listeners
    assert listener.unaccepted == 1
    scene.listener.close()
    scene.check()


def test_link_cut_while_idle(scene: Scene) -> None:
    scene.connect()
    scene.pair.cut()
    scene.check(ESTABLISHED=1)


def test_link_cut_with_unacknowledged_data(scene: Scene) -> None:
    _, accepted = scene.connect()
    accepted.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 500)
    scene.pair.cut()
    accepted.sendall(b"into the void")
    scene.check(ESTABLISHED=1)
    scene.check()


def test_half_open_handshake_is_no_connection(scene: Scene) -> None:
    scene.pair.send_syn()
    scene.check(SYN_RECV=1)
    assert scene.counters() == Counter()
    assert scene.probe.accepted(scene.pair.server) == 0


def _abort(scene: Scene) -> None:
    scene.listener.close()


def _finish(scene: Scene) -> None:
    accepted, _ = scene.listener.accept()
    accepted.recv(100)
    accepted.close()


@pytest.mark.parametrize(("end", "left"), [(_abort, {}), (_finish, {"FIN_WAIT1": 1})])
def test_fast_open_connections_are_counted(
    scene: Scene, end: Callable[[Scene], None], left: dict[str, int]
) -> None:
    sysctl = Path("/proc/sys/net/ipv4/tcp_fastopen")
    scene.pair.server.call(lambda: sysctl.write_text("519"))
    scene.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    scene.pair.send_syn(b"data in the SYN", fast_open=True)
    scene.check(SYN_RECV=1)
    assert scene.probe.accepted(scene.pair.server) == 1
    assert scene.probe.arrivals(scene.pair.server) == 0  # the connection may still be a probe's
    end(scene)
    scene.check(**left)
    assert scene.probe.arrivals(scene.pair.server) == 1


def test_accepted_equals_the_namespaces_passive_opens(scene: Scene) -> None:
    for number in range(20):
        client, accepted = scene.connect()
        if number % 2:
            reset(client)
        accepted.close()
    assert scene.probe.accepted(scene.pair.server) == 20 == _passive_opens(scene.pair)


def _passive_opens(pair: Pair) -> int:
    with subprocess.Popen(
        pair.server.command(["cat", "/proc/self/net/snmp"]), stdout=subprocess.PIPE, text=True
    ) as cat:
        assert cat.stdout
        names, values = (line.split() for line in cat.stdout if line.startswith("Tcp:"))
    return int(values[names.index("PassiveOpens")])


def _fill(sender: socket.socket) -> int:
    """Send until the kernel takes no more; returns the number of bytes."""
    sender.settimeout(0.2)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while True:
            sent += sender.send(MUCH)
    return sent
