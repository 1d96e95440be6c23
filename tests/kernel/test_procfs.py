"""What source procfs alone does on real sockets: what the kernel says either way, and does not."""

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig.netns import Netns
from drainmon.kernel import netns as kernel_netns
from drainmon.kernel.sock_diag import SockDiag
from drainmon.model.ledger import Counts
from drainmon.model.snapshot import Snapshot
from drainmon.model.standing import Socket
from drainmon.pods.pod import Pod
from drainmon.sources.pod_net import PodNet
from drainmon.sources.procfs import ProcfsSource
from drainmon.sources.watcher import Watcher
from tests.kernel.idle_pod import IdlePod
from tests.kernel.pair import PORT, SERVER, Pair
from tests.kernel.scene import PairScene
from tests.kernel.sourced import open_files
from tests.waiting import eventually

pytestmark = pytest.mark.root


class Nobody:
    def listening(self, netns: int, port: int) -> None:
        raise AssertionError("procfs announces nothing")

    def changed(self, pod: int) -> None:
        raise AssertionError("procfs announces nothing")


class Eyes:
    """The source as a drain uses it, with a process that makes the namespace a pod."""

    def __init__(self, namespace: Netns, by_diag: bool) -> None:
        self.by_diag = by_diag
        self.idle = IdlePod(namespace)
        self.pod, self.pid = self.idle.pod, self.idle.pid
        self.source = ProcfsSource(Nobody(), by_diag=by_diag)
        self.place = self.source.open(self.pid)

    def snapshot(self) -> Snapshot:
        return asyncio.run(self.source.snapshot(self.pod, self.place))

    def counters(self) -> Counts:
        return asyncio.run(self.source.counters(self.pod))

    def only(self) -> Socket:
        (found,) = self.snapshot().sockets
        return found

    def close(self) -> None:
        self.idle.close()
        self.place.close()
        self.source.close()


@pytest.fixture(params=[True, False], ids=["sock_diag", "rows"])
def eyes(request: pytest.FixtureRequest, pair: Pair) -> Iterator[Eyes]:
    eyes = Eyes(pair.server, request.param)
    yield eyes
    eyes.close()


class Scene(PairScene):
    def __init__(self, pair: Pair, eyes: Eyes, stack: contextlib.ExitStack) -> None:
        super().__init__(pair, stack)
        self.eyes = eyes

    def snapshot(self) -> Snapshot:
        return self.eyes.snapshot()

    def counters(self) -> dict[str, int]:
        return {state.name: n for state, n in self.eyes.counters().by_state.items()}


@pytest.fixture
def scene(pair: Pair, eyes: Eyes) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        yield Scene(pair, eyes, stack)


def test_an_orphan_without_a_tail_is_a_minisocket(scene: Scene) -> None:
    _, accepted = scene.connect()
    accepted.close()
    scene.check(FIN_WAIT2=1)
    assert scene.eyes.only().minisocket


def test_a_half_open_handshake(scene: Scene) -> None:
    scene.pair.send_syn()
    scene.check(SYN_RECV=1)
    assert scene.eyes.only().minisocket
    counts = scene.eyes.counters()
    assert (counts.by_state, counts.accepted) == ({}, 0)


def test_the_accept_queue_and_its_limit(pair: Pair, eyes: Eyes) -> None:
    with pair.listen(backlog=7), pair.dial(), pair.dial():
        (listener,) = eyes.snapshot().listeners
        assert (listener.unaccepted, listener.limit) == (2, 7 if eyes.by_diag else None)


def test_what_has_come_and_gone(scene: Scene) -> None:
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


def test_retransmissions_and_an_orphan(scene: Scene) -> None:
    _, accepted = scene.connect()
    scene.pair.cut()
    accepted.sendall(b"x" * 100)
    eventually(lambda: scene.eyes.only().retransmits > 1)
    assert scene.eyes.only().unsent == 100
    assert not scene.eyes.only().orphan
    accepted.close()
    assert scene.eyes.only().orphan


def test_a_refusal_is_answered_by_rows(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one look to the next; nothing is taken for new."""
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


def test_data_in_the_handshake_is_data(scene: Scene) -> None:
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


def test_arrivals_are_counted_from_the_first_look_on(scene: Scene) -> None:
    scene.connect()
    first = scene.eyes.counters()
    assert (first.by_state, first.accepted) == ({scene.eyes.only().state: 1}, 0)
    assert first.last_accept is not None  # nobody knows what came before
    before = scene.eyes.snapshot()
    for _ in range(3):
        for end in scene.pair.connect(scene.listener):
            end.close()
    after = scene.eyes.snapshot()
    counts = scene.eyes.counters()
    assert (counts.accepted, counts.last_accept) == (3, after.finished)
    assert before.finished < after.taken
    assert scene.eyes.snapshot().last_opened() in {None, after.last_opened()}


def test_a_new_connection_is_dated_by_the_look_that_finds_it(scene: Scene) -> None:
    scene.connect()
    assert scene.eyes.only().opened is None
    scene.connect()
    snapshot = scene.eyes.snapshot()
    opened = snapshot.last_opened()
    assert opened is not None
    assert snapshot.taken <= opened <= snapshot.finished


def test_counters_and_snapshot_share_a_look(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drainmon.sources.procfs.LEAST", 60.0)
    scene.eyes.snapshot()
    scene.connect()
    assert scene.eyes.counters().accepted == 0
    monkeypatch.setattr("drainmon.sources.procfs.LEAST", 0.0)
    eventually(lambda: scene.eyes.counters().accepted == 1)


def test_a_namespace_outlives_its_last_process(scene: Scene) -> None:
    _, accepted = scene.connect()
    scene.eyes.idle.close()
    scene.check(ESTABLISHED=1)
    accepted.shutdown(socket.SHUT_WR)
    scene.check(FIN_WAIT2=1)


def test_a_dead_pods_counts_are_the_last_known(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.connect()
    known = scene.eyes.counters()
    scene.eyes.idle.close()
    monkeypatch.setattr("drainmon.sources.procfs.LEAST", 0.0)
    assert scene.eyes.counters() == known
    with pytest.raises(FileNotFoundError, match=r"cannot open /proc/\d+/net/snmp: No such file"):
        scene.eyes.source.open(scene.eyes.pid)


def test_who_stops_waiting_costs_nothing(scene: Scene) -> None:
    scene.connect()

    async def give_up() -> None:
        place = scene.eyes.source.open(scene.eyes.pid)
        task = asyncio.ensure_future(scene.eyes.source.snapshot(scene.eyes.pod, place))
        await asyncio.sleep(0)
        task.cancel()
        place.close()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    files = open_files()
    for _ in range(50):
        asyncio.run(give_up())
    eventually(lambda: open_files() <= files)
    scene.check(ESTABLISHED=1)


def test_who_waits_while_it_is_closed_is_answered(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another source takes over, and drains wait for more looks than there are threads."""
    scene.connect()
    may_look = threading.Event()
    look = Watcher.look

    def slow_look(watcher: Watcher, pod: Pod, place: PodNet) -> Snapshot:
        may_look.wait(10)
        return look(watcher, pod, place)

    monkeypatch.setattr(Watcher, "look", slow_look)
    source = scene.eyes.source

    async def close_meanwhile() -> list[Snapshot]:
        waiting = [
            asyncio.ensure_future(source.snapshot(scene.eyes.pod, scene.eyes.place))
            for _ in range(5)
        ]
        await asyncio.sleep(0)
        source.close()
        may_look.set()
        return await asyncio.gather(*waiting)

    assert [len(snapshot.in_flight()) for snapshot in asyncio.run(close_meanwhile())] == [1] * 5
    files = open_files()
    with pytest.raises(RuntimeError):
        scene.eyes.snapshot()
    assert open_files() == files


def test_a_pod_is_remembered_while_it_is_one(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its namespace does: one whose nginx was started anew has another number."""
    scene.eyes.snapshot()
    scene.connect()
    scene.eyes.snapshot()
    asyncio.run(scene.eyes.source.prune([]))
    assert scene.eyes.counters().accepted == 1
    monkeypatch.setattr("drainmon.sources.procfs.KEPT", -1.0)
    asyncio.run(scene.eyes.source.prune([scene.eyes.pod]))
    assert scene.eyes.counters().accepted == 1
    asyncio.run(scene.eyes.source.prune([]))
    assert scene.eyes.counters().accepted == 0


def test_tables_of_many_pages(scene: Scene) -> None:
    ends = [scene.connect() for _ in range(200)]
    scene.check(ESTABLISHED=200)
    for client, accepted in ends:
        accepted.shutdown(socket.SHUT_WR)
        client.close()
    scene.check(TIME_WAIT=200)
    assert not scene.eyes.snapshot().in_flight()
