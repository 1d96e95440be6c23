"""One table of tests for every source: what counters and snapshots say, compared with ss."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from drainmon.model.ignored import Ignored
from drainmon.model.snapshot import NEVER_USED_AFTER, Snapshot, format_address
from drainmon.pods.identity import Identity
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.procfs import process
from drainmon.sources.base import Place, Source
from drainmon.sources.choice import SOURCES, start_first
from tests.kernel.pair import CLIENT, PORT, SERVER, SERVER6, Pair, reset, ss_states

pytestmark = pytest.mark.root

WITHIN = 10.0


class Told:
    """What the source has told."""

    def __init__(self) -> None:
        self.listeners: list[tuple[int, int]] = []
        self.changes: list[int] = []

    def listening(self, netns: int, port: int) -> None:
        self.listeners.append((netns, port))

    def changed(self, pod: int) -> None:
        self.changes.append(pod)


class Scene:
    """A source, and a pod whose process does nothing: the test itself serves its port."""

    def __init__(self, source: Source, told: Told, pair: Pair, pid: int) -> None:
        self.source, self.told, self.pair, self.pid = source, told, pair, pid
        nginx = NginxProcess(pid, 1, process.start_time(pid))
        self.pod = Pod(1, pair.server.inode, Identity(), (nginx,), frozenset({PORT}))
        self.place: Place = source.open(pid)

    async def snapshot(self) -> Snapshot:
        return await self.source.snapshot(self.pod, self.place)

    async def counters(self) -> Counter[str]:
        counts = await self.source.counters(self.pod)
        return Counter({state.name: n for state, n in counts.by_state.items() if n})

    async def check(self, **expected: int) -> None:
        """Wait until ss lists what is expected; snapshot and counters must come to the same."""
        await until(lambda: self._agree(Counter(expected)))

    async def _agree(self, expected: Counter[str]) -> bool:
        if ss_states(self.pair.server) != expected:
            return False
        snapshot = await self.snapshot()
        connections = Counter(s.state.name for s in snapshot.sockets if not s.minisocket)
        if Counter({s.name: n for s, n in snapshot.by_state().items()}) != expected:
            return False
        return await self.counters() == connections


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(WITHIN):
        while not await condition():  # noqa: ASYNC110 - the kernel sets no event
            await asyncio.sleep(0.01)


@pytest.fixture(params=SOURCES)
async def scene(request: pytest.FixtureRequest, pair: Pair) -> AsyncIterator[Scene]:
    told = Told()
    source, _ = await start_first([request.param], told)
    idle = subprocess.Popen(pair.server.command(["sleep", "600"]))  # noqa: ASYNC220
    try:
        await until(lambda: in_netns(idle.pid, pair.server.inode))
        scene = Scene(source, told, pair, idle.pid)
        yield scene
        scene.place.close()
    finally:
        idle.kill()
        idle.wait()
        source.close()


async def in_netns(pid: int, inode: int) -> bool:
    return process.netns_inode(pid) == inode


async def test_client_closes_first(scene: Scene) -> None:
    with scene.pair.listen() as listener:
        client, accepted = scene.pair.connect(listener)
        await scene.check(ESTABLISHED=1)
        client.close()
        await scene.check(CLOSE_WAIT=1)
        accepted.close()
        await scene.check()


async def test_all_pods_are_counted_at_once(scene: Scene) -> None:
    one = scene.pod
    two_ports = Pod(2, one.netns, one.identity, one.processes, frozenset({PORT, PORT + 1}))
    unused = Pod(3, one.netns, one.identity, one.processes, frozenset({PORT + 1}))
    with scene.pair.listen() as listener:
        kept = scene.pair.connect(listener)

        async def counted() -> bool:
            counts = await scene.source.all_counters([one, two_ports, unused])
            in_flight = [counts[number].in_flight for number in (1, 2, 3)]
            return in_flight == [1, 1, 0] and counts[1] == await scene.source.counters(one)

        await until(counted)
        for end in kept:
            end.close()


async def test_server_closes_first(scene: Scene) -> None:
    with scene.pair.listen() as listener:
        client, accepted = scene.pair.connect(listener)
        accepted.shutdown(socket.SHUT_WR)
        await scene.check(FIN_WAIT2=1)
        client.close()
        await scene.check(TIME_WAIT=1)
        accepted.close()


async def test_an_orphan_with_a_tail(scene: Scene) -> None:
    with scene.pair.listen() as listener:
        client, accepted = scene.pair.connect(listener)
        accepted.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            while True:
                accepted.send(b"x" * (1 << 20))
        accepted.close()
        await scene.check(FIN_WAIT1=1)
        (tail,) = (await scene.snapshot()).sockets
        assert tail.unsent > 0
        assert tail.in_flight
        reset(client)
        await scene.check()


async def test_simultaneous_close(scene: Scene) -> None:
    with scene.pair.listen() as listener:
        client, accepted = scene.pair.connect(listener)
        scene.pair.cut()
        client.shutdown(socket.SHUT_WR)
        accepted.shutdown(socket.SHUT_WR)
        await scene.check(FIN_WAIT1=1)
        scene.pair.mend()
        await scene.check(TIME_WAIT=1)
        client.close()
        accepted.close()


async def test_reset_and_abort_in_the_accept_queue(scene: Scene) -> None:
    listener = scene.pair.listen()
    client, accepted = scene.pair.connect(listener)
    reset(client)
    await scene.check()
    waiting = scene.pair.dial()
    await scene.check(ESTABLISHED=1)
    assert [found.unaccepted for found in (await scene.snapshot()).listeners] == [1]
    listener.close()
    await scene.check()
    accepted.close()
    waiting.close()


async def test_both_families_and_addresses(scene: Scene) -> None:
    listener = scene.pair.listen(socket.AF_INET6)
    with listener, scene.pair.dial() as four, scene.pair.dial(SERVER6) as six:
        await scene.check(ESTABLISHED=2)
        sockets = (await scene.snapshot()).sockets
        remotes = {format_address(s.remote, s.remote_port) for s in sockets}
        port4, port6 = four.getsockname()[1], six.getsockname()[1]
        assert remotes == {f"{CLIENT}:{port4}", f"[fd77::2]:{port6}"}


async def test_accepted_and_the_last_arrival(scene: Scene) -> None:
    with scene.pair.listen() as listener:
        before = await scene.source.counters(scene.pod)
        assert before.last_accept is not None
        for _ in range(5):
            for end in scene.pair.connect(listener):
                end.close()

        async def counted() -> bool:
            counts = await scene.source.counters(scene.pod)
            return counts.accepted - before.accepted == counts.arrivals - before.arrivals == 5

        await until(counted)
        after = await scene.source.counters(scene.pod)
        assert after.last_accept is not None
        assert after.last_accept > before.last_accept


async def test_ignored_peers_do_not_arrive(scene: Scene) -> None:
    with scene.pair.listen(socket.AF_INET6) as listener, contextlib.ExitStack() as stack:

        async def arrived() -> tuple[int, float]:
            await scene.snapshot()
            counts = await scene.source.counters(scene.pod)
            assert counts.last_accept is not None
            return counts.arrivals, counts.last_accept

        async def arrives(address: str) -> bool:
            arrivals, _ = await arrived()
            before = time.monotonic()
            stack.enter_context(scene.pair.dial(address))
            stack.enter_context(listener.accept()[0])
            more, last = await arrived()
            assert more - arrivals == (last > before)
            return last > before

        for peers, four, six in (
            ([CLIENT], False, True),
            (["10.0.0.0/8", "192.0.2.0/24"], False, True),
            (["::/0"], True, False),
            (["::/0", "0.0.0.0/0"], False, False),
            ([], True, True),
        ):
            scene.source.ignore(scene.pod, Ignored.parse(peers))
            assert (await arrives(SERVER), await arrives(SERVER6)) == (four, six)


async def test_a_connection_that_is_never_used_is_not_in_flight(scene: Scene) -> None:
    with scene.pair.listen() as listener, contextlib.ExitStack() as stack:
        await scene.snapshot()
        silent = [stack.enter_context(end) for end in scene.pair.connect(listener)]
        spoken = [stack.enter_context(end) for end in scene.pair.connect(listener)]
        spoken[0].sendall(b"GET /")
        spoken[1].recv(10)
        assert len((await scene.snapshot()).in_flight()) == 2

        async def one_left() -> bool:
            return len((await scene.snapshot()).in_flight()) == 1

        await until(one_left)
        (left,) = (await scene.snapshot()).in_flight()
        assert left.remote_port == spoken[0].getsockname()[1]
        assert NEVER_USED_AFTER > 1
        silent[0].sendall(b"GET /")
        silent[1].recv(10)

        async def both_again() -> bool:
            return len((await scene.snapshot()).in_flight()) == 2

        await until(both_again)


async def test_a_place_outlives_the_process(scene: Scene) -> None:
    with scene.pair.listen() as listener:
        ends = scene.pair.connect(listener)
        os.kill(scene.pid, signal.SIGKILL)

        async def gone() -> bool:
            return not process.socket_inodes(scene.pid) if _lives(scene.pid) else True

        await until(gone)
        assert len((await scene.snapshot()).sockets) == 1
        for end in ends:
            end.close()

        async def empty() -> bool:
            return not (await scene.snapshot()).in_flight()

        await until(empty)


def _lives(pid: int) -> bool:
    try:
        return bool(process.title(pid))
    except OSError:
        return False


async def test_other_ports_and_outbound_connections_are_not_counted(scene: Scene) -> None:
    outside = scene.pair.client.socket()
    outside.bind((CLIENT, 9000))
    outside.listen()
    outbound = scene.pair.server.socket()
    outbound.connect((CLIENT, 9000))
    with scene.pair.listen(), outside, outbound:
        await scene.check()


async def test_a_change_is_told_or_looked_for(scene: Scene) -> None:
    with scene.pair.listen() as listener:
        scene.source.watch(scene.pod)
        for end in scene.pair.connect(listener):
            end.close()

        async def noticed() -> bool:
            return bool(scene.told.changes) or scene.source.look_interval < 0.2

        await until(noticed)
        scene.source.unwatch(scene.pod)


async def test_two_pods_of_one_namespace_are_apart(scene: Scene) -> None:
    listeners = [scene.pair.server.socket() for _ in range(2)]
    pods = []
    for number, listener in enumerate(listeners):
        listener.bind((SERVER, 8001 + number))
        listener.listen()
        ports = frozenset({8001 + number})
        pods.append(replace(scene.pod, number=number + 10, ports=ports, group=f"/pod{number}"))
        await scene.source.snapshot(pods[-1], scene.place)
        scene.source.watch(pods[-1])
    with listeners[0], listeners[1], scene.pair.client.socket() as client:
        client.connect((SERVER, 8002))
        taken = [await scene.source.snapshot(pod, scene.place) for pod in pods]
        assert [len(snapshot.sockets) for snapshot in taken] == [0, 1]
        counted = [await scene.source.counters(pod) for pod in pods]
        assert [sum(counts.by_state.values()) for counts in counted] == [0, 1]
        scene.source.unwatch(pods[0])

        async def told() -> bool:
            return bool(scene.told.changes) or not scene.source.announces

        await until(told)
        assert set(scene.told.changes) <= {pods[1].number}
    scene.source.unwatch(pods[1])


async def test_two_pods_that_share_a_port_are_both_told(scene: Scene) -> None:
    sharer = replace(scene.pod, number=2, group="/pod2")
    with scene.pair.listen() as listener:
        for pod in (scene.pod, sharer):
            await scene.source.snapshot(pod, scene.place)
            scene.source.watch(pod)
        ends = scene.pair.connect(listener)

        async def told(*numbers: int) -> bool:
            return set(numbers) <= set(scene.told.changes) or not scene.source.announces

        await until(lambda: told(scene.pod.number, sharer.number))
        scene.source.unwatch(sharer)
        scene.told.changes.clear()
        scene.source.watch(scene.pod)
        for end in ends:
            end.close()
        await until(lambda: told(scene.pod.number))
        assert sharer.number not in scene.told.changes
        scene.source.unwatch(scene.pod)


async def test_new_listeners_are_announced_or_not(scene: Scene) -> None:
    with scene.pair.listen():

        async def told() -> bool:
            ports = {port for _, port in scene.told.listeners}
            return PORT in ports or not scene.source.announces

        await until(told)
