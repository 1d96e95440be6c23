"""Reports that every source makes without a request: changed connections, new listeners."""

import asyncio
from dataclasses import replace

import pytest

from tests.kernel.named import named
from tests.kernel.pair import PORT, SERVER, await_last_ack
from tests.kernel.sourced import SourceScene, until

pytestmark = pytest.mark.root


async def test_a_change_is_reported_or_found_by_frequent_looks(scene: SourceScene) -> None:
    with scene.pair.listen() as listener:
        scene.source.watch(scene.pod)
        for end in scene.pair.connect(listener):
            end.close()

        async def noticed() -> bool:
            return bool(scene.reports.changes) or scene.source.look_interval < 0.2

        await until(noticed)
        scene.source.unwatch(scene.pod)


async def test_changes_of_two_pods_in_one_namespace_are_separate(scene: SourceScene) -> None:
    listeners = [scene.pair.server.socket() for _ in range(2)]
    pods = []
    for number, listener in enumerate(listeners):
        listener.bind((SERVER, 8001 + number))
        listener.listen()
        ports = frozenset({8001 + number})
        pods.append(replace(scene.pod, number=number + 10, ports=ports, group=f"/pod{number}"))
        scene.source.follow(pods)
        await scene.source.snapshot(pods[-1], scene.place)
        scene.source.watch(pods[-1])
    with listeners[0], listeners[1], scene.pair.client.socket() as client:
        client.connect((SERVER, 8002))
        await_last_ack(scene.pair.server, client)
        taken = [await scene.source.snapshot(pod, scene.place) for pod in pods]
        assert [len(snapshot.sockets) for snapshot in taken] == [0, 1]
        counted = [await scene.source.counters(pod) for pod in pods]
        assert [sum(counts.by_state.values()) for counts in counted] == [0, 1]
        scene.source.unwatch(pods[0])

        async def reported() -> bool:
            return bool(scene.reports.changes) or not scene.source.announces

        await until(reported)
        assert set(scene.reports.changes) <= {pods[1].number}
    scene.source.unwatch(pods[1])


async def test_both_pods_that_share_a_port_get_a_change(scene: SourceScene) -> None:
    sharer = replace(scene.pod, number=2, group="/pod2")
    scene.source.follow([scene.pod, sharer])
    with scene.pair.listen() as listener:
        for pod in (scene.pod, sharer):
            await scene.source.snapshot(pod, scene.place)
            scene.source.watch(pod)
        ends = scene.pair.connect(listener)

        async def reported(*numbers: int) -> bool:
            return set(numbers) <= set(scene.reports.changes) or not scene.source.announces

        await until(lambda: reported(scene.pod.number, sharer.number))
        scene.source.unwatch(sharer)
        scene.reports.changes.clear()
        scene.source.watch(scene.pod)
        for end in ends:
            end.close()
        await until(lambda: reported(scene.pod.number))
        assert sharer.number not in scene.reports.changes
        scene.source.unwatch(scene.pod)


async def test_a_source_that_announces_reports_new_listeners(scene: SourceScene) -> None:
    with named("nginx"), scene.pair.listen():

        async def reported() -> bool:
            return bool(scene.reports.listeners) or not scene.source.announces

        await until(reported)


async def test_a_port_that_a_pod_no_longer_has_is_unwatched(scene: SourceScene) -> None:
    both = replace(scene.pod, ports=frozenset({PORT, PORT + 1}))
    scene.source.follow([both])
    with scene.pair.listen() as listener:
        await scene.source.snapshot(both, scene.place)
        scene.source.watch(both)
        scene.source.unwatch(replace(both, ports=frozenset({PORT + 1})))
        for end in scene.pair.connect(listener):
            end.close()
        for _ in range(10):
            await scene.snapshot()
            await asyncio.sleep(0)
        assert scene.reports.changes == []
