"""Probes, recognized by every source while a pod is drained; one table of tests for all."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from drainmon.sources.choice import sources, start_first
from tests.kernel.idle_pod import IdlePod
from tests.kernel.pair import CLIENT, SERVER, SERVER6, Pair
from tests.kernel.sourced import Reports, SourceScene, until
from tests.kernel.test_probes import behind_nat, end, other_process  # noqa: F401 - a fixture

pytestmark = pytest.mark.root

OWN_NAME = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
"""The tests themselves are the probing process; the client's namespace acts as the host's."""


@pytest.fixture(params=sources(()))
async def scene(request: pytest.FixtureRequest, pair: Pair) -> AsyncIterator[SourceScene]:
    reports = Reports()
    host = frozenset({pair.client.inode, Path("/proc/self/ns/net").stat().st_ino})
    source, _ = await start_first([request.param], reports, sources((), (OWN_NAME,), host))
    with IdlePod(pair.server) as idle:
        scene = SourceScene(source, reports, pair, idle)
        source.follow([scene.pod])
        yield scene
        scene.place.close()
    source.close()


async def looked(scene: SourceScene) -> tuple[int, int, int, float | None]:
    """Accepted connections, probes among them, arrivals, and the time of the last arrival."""
    await scene.snapshot()
    counts = await scene.source.counters(scene.pod)
    return counts.accepted, counts.probes_accepted, counts.arrivals, counts.last_accept


async def traffic(scene: SourceScene) -> int:
    """The number of connections that are no probes, used or not: on a slow machine the oldest has
    been unused for seconds."""
    return sum(not socket.probe for socket in (await scene.snapshot()).sockets)


@pytest.mark.parametrize("server", [SERVER, SERVER6])
async def test_short_probes_are_not_arrivals(scene: SourceScene, server: str) -> None:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with scene.pair.listen(family) as listener:
        scene.source.watch(scene.pod)
        before = await looked(scene)
        for number in range(1, 20):
            for _ in range(number % 3):
                client = scene.pair.dial(server)
                accepted, _ = listener.accept()
                for one in (client, accepted) if number % 2 else (accepted, client):
                    one.close()
            await looked(scene)
        after = await looked(scene)
        assert after[0] - before[0] == after[1] - before[1] == 19
        assert after[2:] == before[2:]
        scene.source.unwatch(scene.pod)


async def test_an_open_probe_is_not_in_flight(scene: SourceScene) -> None:
    with scene.pair.listen() as listener:
        scene.source.watch(scene.pod)
        await looked(scene)
        client, accepted = scene.pair.connect(listener)
        with client, accepted:
            client.sendall(b"GET /healthz")
            (found,) = (await scene.snapshot()).sockets
            assert found.probe
            assert not (await scene.snapshot()).in_flight()
            counts = await scene.source.counters(scene.pod)
            assert (counts.probes, counts.in_flight) == (1, 0)
        scene.source.unwatch(scene.pod)


async def test_other_processes_connections_are_arrivals(scene: SourceScene) -> None:
    with scene.pair.listen() as listener, ExitStack() as stack:
        scene.source.watch(scene.pod)
        before = await looked(scene)
        for address, namespace in ((SERVER, scene.pair.client), (SERVER, scene.pair.server)):
            other = other_process(namespace, OWN_NAME[:10] + "-no", address)
            stack.callback(end, other)
            stack.enter_context(listener.accept()[0])
            for one in scene.pair.connect(listener):
                stack.enter_context(one)
        after = await looked(scene)
        assert after[0] - before[0] == 4
        assert after[1] - before[1] == 2
        assert after[2] - before[2] == 2
        assert await traffic(scene) == 2
        scene.source.unwatch(scene.pod)


async def test_traffic_with_the_hosts_address_is_an_arrival(
    scene: SourceScene,
    behind_nat: "object",  # noqa: F811
) -> None:
    with scene.pair.listen() as listener, ExitStack() as stack:
        scene.source.watch(scene.pod)
        before = await looked(scene)
        other = other_process(behind_nat, OWN_NAME, SERVER)  # type: ignore[arg-type]
        stack.callback(end, other)
        accepted, (address, _) = listener.accept()
        stack.enter_context(accepted)
        assert address == CLIENT
        after = await looked(scene)
        assert (after[1], after[2] - before[2]) == (before[1], 1)
        assert await traffic(scene) == 1
        scene.source.unwatch(scene.pod)


async def test_a_probe_older_than_the_drain_is_recognized(scene: SourceScene) -> None:
    with scene.pair.listen() as listener, ExitStack() as stack:
        for name in (OWN_NAME, OWN_NAME[:10] + "-no"):
            stack.callback(end, other_process(scene.pair.client, name, SERVER))
            stack.enter_context(listener.accept()[0])
        scene.source.watch(scene.pod)

        async def one_of_two() -> bool:
            return sorted(s.probe for s in (await scene.snapshot()).sockets) == [False, True]

        await until(one_of_two)
        scene.source.unwatch(scene.pod)


async def test_drains_of_other_pods_do_not_change_arrivals(scene: SourceScene) -> None:
    others = [replace(scene.pod, number=10 + n, ports=frozenset({9000 + n})) for n in range(3)]
    with scene.pair.listen() as listener:
        scene.source.watch(scene.pod)
        await looked(scene)
        for other in others:
            before = await looked(scene)
            scene.source.watch(other)
            await scene.source.snapshot(other, scene.place)
            for one in scene.pair.connect(listener):
                one.close()
            after = await looked(scene)
            assert (after[1] - before[1], after[2] - before[2]) == (1, 0)
            scene.source.unwatch(other)
        scene.source.unwatch(scene.pod)
        scene.source.watch(scene.pod)
        before = await looked(scene)
        for one in scene.pair.connect(listener):
            one.close()
        after = await looked(scene)
        assert (after[1] - before[1], after[2] - before[2]) == (1, 0)
        scene.source.unwatch(scene.pod)
