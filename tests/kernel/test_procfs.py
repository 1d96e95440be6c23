"""What source procfs alone does on real sockets: what the kernel's file says, and does not."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig.netns import Netns, ip
from drainmon.model.ledger import Counts
from drainmon.model.snapshot import Snapshot, Socket
from drainmon.pods.pod import Pod
from drainmon.procfs.net_tcp import SURE_RTO, find_rows, parse_row
from drainmon.sources.base import Place, Source
from drainmon.sources.procfs import ProcfsSource, _Watcher
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

    def __init__(self, namespace: Netns) -> None:
        self.idle = IdlePod(namespace)
        self.pod, self.pid = self.idle.pod, self.idle.pid
        self.source: Source = ProcfsSource(Nobody())
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


@pytest.fixture
def eyes(pair: Pair) -> Iterator[Eyes]:
    eyes = Eyes(pair.server)
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


def test_the_accept_queue_has_no_limit_in_the_file(pair: Pair, eyes: Eyes) -> None:
    with pair.listen(backlog=7), pair.dial(), pair.dial():
        (listener,) = eyes.snapshot().listeners
        assert (listener.unaccepted, listener.limit) == (2, None)


def test_a_connection_that_never_sent(scene: Scene) -> None:
    client, accepted = scene.connect()
    assert scene.eyes.only().bytes_received == 0
    eventually(lambda: scene.eyes.only().never_used)
    accepted.sendall(b"220 who speaks first does not receive\r\n")
    eventually(lambda: not scene.eyes.only().unsent)
    assert scene.eyes.only().bytes_received == 0
    client.sendall(b"G")
    eventually(lambda: scene.eyes.only().bytes_received)
    accepted.recv(1)
    eventually(lambda: scene.eyes.only().idle_in == 0.0)
    assert scene.eyes.only().in_flight


def ack_timeout(eyes: Eyes) -> bytes:
    """The column `ato` of the only connection."""
    table = Path(f"/proc/{eyes.pid}/net/tcp").read_bytes()
    rows = (row.split() for row in find_rows(table, eyes.pod.ports))
    (ato,) = (row[12] for row in rows if row[2] == b"01")
    return ato


def test_the_ack_timeout_stays_through_delayed_acks(scene: Scene) -> None:
    client, accepted = scene.connect()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert ack_timeout(scene.eyes) == b"0"
    pause = threading.Event()
    for number in range(40):
        client.sendall(b"x")
        accepted.recv(1)
        pause.wait((0, 0.03, 0.1, 0.25)[number % 4] if number > 16 else 0)  # the traffic itself
        assert int(ack_timeout(scene.eyes)) >= SURE_RTO.start


def test_a_long_retransmission_timeout_makes_nobody_sure(scene: Scene) -> None:
    device = next(n for _, n in scene.pair.server.call(socket.if_nameindex) if n != "lo")
    ip("-n", scene.pair.server.name, "route", "change", "10.77.0.0/24", "dev", device,
       "src", SERVER, "rto_min", "5s")  # fmt: skip
    scene.connect()
    table = Path(f"/proc/{scene.eyes.pid}/net/tcp").read_bytes()
    rows = [parse_row(row) for row in find_rows(table, scene.eyes.pod.ports)]
    assert [row.silent for row in rows if row and row.state == 1] == [False]
    assert scene.eyes.only().bytes_received == 1


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
    assert all(s.bytes_received for s in scene.eyes.snapshot().sockets)


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
    monkeypatch.setattr(ProcfsSource, "look_interval", 60.0)
    scene.eyes.snapshot()
    scene.connect()
    assert scene.eyes.counters().accepted == 0
    monkeypatch.setattr(ProcfsSource, "look_interval", 0.0)
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
    monkeypatch.setattr(ProcfsSource, "look_interval", 0.0)
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
    look = _Watcher.look

    def slow_look(watcher: _Watcher, pod: Pod, place: Place) -> Snapshot:
        may_look.wait(10)
        return look(watcher, pod, place)

    monkeypatch.setattr(_Watcher, "look", slow_look)
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
