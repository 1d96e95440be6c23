"""One table of tests for every source: counters and snapshots, compared with ss."""

import contextlib
import os
import signal
import socket
import time
from dataclasses import replace

import pytest

from bench.rig.churn import reset
from drainmon.model.ignored import NOTHING, Ignored
from drainmon.model.snapshot import format_address
from drainmon.model.standing import UNUSED_AFTER
from drainmon.pods.pod import Pod
from drainmon.procfs import process
from tests.kernel.pair import CLIENT, CLIENT6, PORT, SERVER, SERVER6
from tests.kernel.sourced import SourceScene, until

pytestmark = pytest.mark.root


async def test_client_closes_first(scene: SourceScene) -> None:
    with scene.pair.listen() as listener:
        client, accepted = scene.pair.connect(listener)
        await scene.check(ESTABLISHED=1)
        client.close()
        await scene.check(CLOSE_WAIT=1)
        accepted.close()
        await scene.check()


async def test_client_closes_first_and_the_link_is_cut(scene: SourceScene) -> None:
    with scene.pair.listen() as listener:
        client, accepted = scene.pair.connect(listener)
        client.shutdown(socket.SHUT_WR)
        await scene.check(CLOSE_WAIT=1)
        scene.pair.cut()
        accepted.close()
        await scene.check(LAST_ACK=1)
        scene.pair.mend()
        await scene.check()
        client.close()


async def test_all_pods_are_counted_at_once(scene: SourceScene) -> None:
    one = scene.pod
    two_ports = Pod(2, one.netns, one.identity, one.processes, frozenset({PORT, PORT + 1}))
    unused = Pod(3, one.netns, one.identity, one.processes, frozenset({PORT + 1}))
    scene.source.follow([one, two_ports, unused])
    with scene.pair.listen() as listener:
        kept = scene.pair.connect(listener)

        async def counted() -> bool:
            counts = await scene.source.all_counters([one, two_ports, unused])
            in_flight = [counts[number].in_flight for number in (1, 2, 3)]
            return in_flight == [1, 1, 0] and counts[1] == await scene.source.counters(one)

        await until(counted)
        for end in kept:
            end.close()


async def test_server_closes_first(scene: SourceScene) -> None:
    with scene.pair.listen() as listener:
        client, accepted = scene.pair.connect(listener)
        accepted.shutdown(socket.SHUT_WR)
        await scene.check(FIN_WAIT2=1)
        client.close()
        await scene.check(TIME_WAIT=1)
        accepted.close()


async def test_an_orphan_with_a_tail_stays_in_flight(scene: SourceScene) -> None:
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


async def test_simultaneous_close(scene: SourceScene) -> None:
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


async def test_reset_and_abort_in_the_accept_queue(scene: SourceScene) -> None:
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


async def test_addresses_of_both_families_are_reported(scene: SourceScene) -> None:
    with scene.pair.listen(), scene.pair.dial() as four:
        await scene.check(ESTABLISHED=1)
        assert await remotes(scene) == {f"{CLIENT}:{four.getsockname()[1]}"}
    await scene.check()
    listener = scene.pair.listen(socket.AF_INET6)
    with listener, scene.pair.dial() as four, scene.pair.dial(SERVER6) as six:
        await scene.check(ESTABLISHED=2)
        port4, port6 = four.getsockname()[1], six.getsockname()[1]
        assert await remotes(scene) == {f"{CLIENT}:{port4}", f"[{CLIENT6}]:{port6}"}


async def remotes(scene: SourceScene) -> set[str]:
    sockets = (await scene.snapshot()).sockets
    assert {(s.local_port, s.state.name) for s in sockets} == {(PORT, "ESTABLISHED")}
    return {format_address(s.remote, s.remote_port) for s in sockets}


async def test_accepted_connections_and_the_last_arrival_are_counted(scene: SourceScene) -> None:
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


async def test_ignored_peers_are_not_arrivals(scene: SourceScene) -> None:
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


async def test_an_ignored_connection_that_just_came_is_no_arrival(scene: SourceScene) -> None:
    """A drain that began with the counts from before it would take it for an arrival."""
    with scene.pair.listen() as listener, contextlib.ExitStack() as stack:
        await scene.snapshot()
        for end in scene.pair.connect(listener):
            stack.enter_context(end)
        scene.source.ignore(scene.pod, Ignored.parse([CLIENT]))
        before = (await scene.source.counters(scene.pod)).arrivals
        await scene.snapshot()
        assert (await scene.source.counters(scene.pod)).arrivals == before


async def test_a_shared_ports_ignored_peers_last_until_both_pods_end(
    scene: SourceScene,
) -> None:
    """In the host's namespace, with SO_REUSEPORT."""
    peers = Ignored.parse([CLIENT])
    sharer = replace(scene.pod, number=2, group="/pod2")
    with scene.pair.listen() as listener, contextlib.ExitStack() as stack:

        async def arrivals() -> int:
            await scene.snapshot()
            return (await scene.source.counters(scene.pod)).arrivals

        await arrivals()
        for pod in (scene.pod, sharer):
            scene.source.ignore(pod, peers)
        scene.source.ignore(sharer, NOTHING)
        before = await arrivals()
        for end in scene.pair.connect(listener):
            stack.enter_context(end)
        assert await arrivals() == before


async def test_a_connection_that_is_never_used_is_not_in_flight(scene: SourceScene) -> None:
    with scene.pair.listen() as listener, contextlib.ExitStack() as stack:
        await scene.snapshot()
        silent = [stack.enter_context(end) for end in scene.pair.connect(listener)]
        spoken = [stack.enter_context(end) for end in scene.pair.connect(listener)]
        spoken[0].sendall(b"GET /")
        spoken[1].recv(10)
        assert len((await scene.snapshot()).in_flight()) == 2
        if not scene.knows_use:
            return

        async def one_left() -> bool:
            return len((await scene.snapshot()).in_flight()) == 1

        await until(one_left)
        (left,) = (await scene.snapshot()).in_flight()
        assert left.remote_port == spoken[0].getsockname()[1]
        assert UNUSED_AFTER > 1
        silent[0].sendall(b"GET /")
        silent[1].recv(10)

        async def both_again() -> bool:
            return len((await scene.snapshot()).in_flight()) == 2

        await until(both_again)


async def test_a_place_outlives_the_process(scene: SourceScene) -> None:
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


async def test_other_ports_and_outbound_connections_are_not_counted(scene: SourceScene) -> None:
    outside = scene.pair.client.socket()
    outside.bind((CLIENT, 9000))
    outside.listen()
    outbound = scene.pair.server.socket()
    outbound.connect((CLIENT, 9000))
    with scene.pair.listen(), outside, outbound:
        await scene.check()
