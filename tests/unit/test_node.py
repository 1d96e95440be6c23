"""The node: scans that begin after their request, logged corrections, counts of all pods."""

import asyncio
import logging
import os
import threading
from dataclasses import replace

import pytest

from drainmon.daemon import node as node_module
from drainmon.daemon import polls
from drainmon.daemon.node import Node
from drainmon.model.counts import Counts
from drainmon.model.snapshot import Snapshot
from drainmon.model.tcp import TcpState
from drainmon.pods.identity import Identity
from drainmon.pods.pod import Pod
from drainmon.pods.registry import Registry
from drainmon.sources.base import Place
from drainmon.sources.switching import SwitchingSource


class SlowRegistry(Registry):
    """A registry whose scan ends on command."""

    def __init__(self) -> None:
        super().__init__(["nginx"])
        self.begun = 0
        self.go = threading.Semaphore(0)

    def scan(self) -> None:
        self.begun += 1
        assert self.go.acquire(timeout=10)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> SlowRegistry:
    monkeypatch.setattr("drainmon.daemon.scans.SCAN_REST", 0.0)
    return SlowRegistry()


async def until_begun(registry: SlowRegistry, number: int) -> None:
    async with asyncio.timeout(10):
        while registry.begun < number:  # noqa: ASYNC110 - it happens in a thread
            await asyncio.sleep(0.001)


async def test_a_running_scan_does_not_answer_a_new_request(registry: SlowRegistry) -> None:
    node = Node(registry, ["procfs"], asyncio.create_task)
    first = asyncio.create_task(node.scan())
    await until_begun(registry, 1)
    others = [asyncio.create_task(node.scan()) for _ in range(5)]
    registry.go.release()
    await first
    await until_begun(registry, 2)
    assert not any(task.done() for task in others)
    registry.go.release()
    await asyncio.gather(*others)
    assert registry.begun == 2  # one for all requests


async def test_an_ended_scan_does_not_answer_a_new_request(registry: SlowRegistry) -> None:
    node = Node(registry, ["procfs"], asyncio.create_task)
    for number in (1, 2):
        registry.go.release()
        await node.scan()
        assert registry.begun == number


async def test_a_cancelled_request_does_not_end_its_scan_early(registry: SlowRegistry) -> None:
    node = Node(registry, ["procfs"], asyncio.create_task)
    first = asyncio.create_task(node.scan())
    await until_begun(registry, 1)
    second = asyncio.create_task(node.scan())
    first.cancel()
    await asyncio.wait([first, second], timeout=0.05)
    assert (first.done(), registry.begun) == (False, 1)
    registry.go.release(2)
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert registry.begun == 2


class OpeningSource(SwitchingSource):
    """Opens a place of one namespace."""

    def __init__(self) -> None:
        super().__init__(["procfs"], None)  # type: ignore[arg-type]
        self.place = OpenPlace((), WEB.netns + 1)

    def open(self, pid: int) -> Place:
        if pid != os.getpid():
            raise ProcessLookupError("cannot reach the pod: it is gone")
        return self.place


class OpenPlace(Place):
    closed = 0

    def close(self) -> None:
        self.closed += 1


async def test_a_place_of_another_namespace_is_closed() -> None:
    node = Node(Registry(["nginx"]), ["procfs"], asyncio.create_task)
    source = node._source = OpeningSource()
    with pytest.raises(ProcessLookupError, match="it is gone"):
        node.open(WEB, 2**22 + 1)
    # The pid may be in any namespace by now: the opened one counts.
    with pytest.raises(ProcessLookupError, match="another process now"):
        node.open(WEB, os.getpid())
    assert source.place.closed == 1
    assert node.open(replace(WEB, netns=source.place.netns), os.getpid()) is source.place
    assert source.place.closed == 1


class DriftedSource(SwitchingSource):
    """Its counters show three connections too many since the last reading."""

    def __init__(self) -> None:
        super().__init__(["procfs"], None)  # type: ignore[arg-type]
        self.established = 0

    async def counters(self, pod: Pod) -> Counts:
        return Counts({TcpState.ESTABLISHED: self.established})

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        counts = await self.counters(pod)
        return Snapshot(0.0, 0.0, around=(counts, counts))


async def test_a_correction_is_logged_with_the_wrong_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    node = Node(Registry(["nginx"]), ["procfs"], asyncio.create_task)
    source = node._source = DriftedSource()
    pod = Pod(1, 1, Identity(), (), frozenset({80}))
    assert (await node.counts(pod)).in_flight == 0
    await node.snapshot(pod, Place((), pod.netns))
    assert node.drift == 0
    source.established = 3
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):
            await node.snapshot(pod, Place((), pod.netns))
    (record,) = [record for record in caplog.records if record.msg == "counters corrected"]
    assert (record.__dict__["before"], record.__dict__["after"]) == ({"ESTABLISHED": 3}, {})
    assert node.drift == 3


class CountingSource(SwitchingSource):
    """Each call reports one more accepted connection, and takes a while by the fake clock."""

    def __init__(self, clock: "Clock") -> None:
        super().__init__(["procfs"], None)  # type: ignore[arg-type]
        self.accepted = 0
        self.clock = clock
        self.takes = 0.0
        self.gone: set[int] = set()

    @property
    def announces(self) -> bool:
        return False

    async def counters(self, pod: Pod) -> Counts:
        if pod.number in self.gone:
            raise ProcessLookupError("cannot reach the pod: its processes are gone")
        self.clock.now += self.takes
        self.accepted += 1
        return Counts({}, self.accepted)

    async def all_counters(self, pods: list[Pod]) -> dict[int, Counts]:
        return {pod.number: await self.counters(pod) for pod in pods}


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    thread_time = monotonic


class KnownPods(Registry):
    """A registry whose scans find the given pods."""

    def __init__(self, *pods: Pod) -> None:
        super().__init__(["nginx"])
        self.found = list(pods)
        self.scan()

    def scan(self) -> None:
        self._pods = {pod.key: pod for pod in self.found}


WEB = Pod(1, 1, Identity(name="web"), (), frozenset({80}))
API = Pod(2, 2, Identity(name="api"), (), frozenset({80}))


def known(monkeypatch: pytest.MonkeyPatch, *pods: Pod) -> tuple[Node, CountingSource, KnownPods]:
    clock, registry = Clock(), KnownPods(*pods)
    for module in (node_module, polls):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr("drainmon.daemon.scans.SCAN_REST", 0.0)
    node = Node(registry, ["procfs"], asyncio.create_task)
    source = node._source = CountingSource(clock)
    return node, source, registry


async def test_reading_all_pods_takes_at_most_a_twentieth_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node, source, _ = known(monkeypatch, WEB, API)
    source.takes = 0.5
    assert [(pod.identity.name, counts.accepted) for pod, counts in await node.all_counts()] == [
        ("api", 1),
        ("web", 2),
    ]
    source.clock.now += 19.9  # reading both took a second
    await node.all_counts()
    assert source.accepted == 2
    source.clock.now += 0.1
    assert [counts.accepted for _, counts in await node.all_counts()] == [3, 4]


async def test_concurrent_requests_for_all_pods_share_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pods = (Pod(n, n, Identity(), (), frozenset()) for n in range(50))
    node, source, _ = known(monkeypatch, *pods)
    source.takes = 0.001
    first, second = await asyncio.gather(node.all_counts(), node.all_counts())
    assert first is second
    assert source.accepted == 50


async def test_a_departed_pod_is_reported_for_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    node, source, registry = known(monkeypatch, WEB, API)
    await node.all_counts()
    assert node.departed() == []
    registry.found = [API]
    await node.scan()
    # Read once more, as connections may have come since.
    assert [(pod.identity.name, last.accepted) for pod, last in node.departed()] == [("web", 3)]
    source.clock.now += 300.0
    assert len(node.departed()) == 1
    source.clock.now += 0.1
    assert node.departed() == []


async def test_a_departed_pod_keeps_its_last_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node, source, registry = known(monkeypatch, WEB)
    await node.all_counts()
    source.gone.add(WEB.number)
    registry.found = []
    await node.scan()
    assert [last.accepted for _, last in node.departed()] == [1]


async def test_a_reused_namespace_is_not_read_for_a_departed_pod(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node, _, registry = known(monkeypatch, WEB)
    await node.all_counts()
    registry.found = [Pod(3, WEB.netns, Identity(name="other"), (), frozenset({80}))]
    await node.scan()
    assert [(pod.identity.name, last.accepted) for pod, last in node.departed()] == [("web", 1)]
