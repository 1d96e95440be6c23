"""The node: scans that begin after the question, corrections that say what was wrong."""

import asyncio
import logging
import threading

import pytest

from drainmon.daemon import node as node_module
from drainmon.daemon.node import Node
from drainmon.model.ledger import Counts
from drainmon.model.snapshot import Snapshot
from drainmon.model.tcp import TcpState
from drainmon.pods.identity import Identity
from drainmon.pods.pod import Pod
from drainmon.pods.registry import Registry
from drainmon.sources.base import Place
from drainmon.sources.switching import SwitchingSource


class SlowRegistry(Registry):
    """A scan ends when it is let go."""

    def __init__(self) -> None:
        super().__init__(["nginx"])
        self.begun = 0
        self.go = threading.Semaphore(0)

    def scan(self) -> None:
        self.begun += 1
        assert self.go.acquire(timeout=10)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> SlowRegistry:
    monkeypatch.setattr(node_module, "SCAN_REST", 0.0)
    return SlowRegistry()


async def until_begun(registry: SlowRegistry, number: int) -> None:
    async with asyncio.timeout(10):
        while registry.begun < number:  # noqa: ASYNC110 - it happens in a thread
            await asyncio.sleep(0.001)


async def test_a_scan_that_runs_already_is_not_good_enough(registry: SlowRegistry) -> None:
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
    assert registry.begun == 2  # one for all of them


async def test_a_scan_that_has_just_ended_is_not_good_enough(registry: SlowRegistry) -> None:
    node = Node(registry, ["procfs"], asyncio.create_task)
    for number in (1, 2):
        registry.go.release()
        await node.scan()
        assert registry.begun == number


class DriftedSource(SwitchingSource):
    """Its counters say three connections too many since somebody last asked."""

    def __init__(self) -> None:
        super().__init__(["procfs"], None)  # type: ignore[arg-type]
        self.established = 0

    async def counters(self, pod: Pod) -> Counts:
        return Counts({TcpState.ESTABLISHED: self.established})

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        return Snapshot(0.0, 0.0)


async def test_a_correction_is_logged_with_what_the_counters_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    node = Node(Registry(["nginx"]), ["procfs"], asyncio.create_task)
    source = node._source = DriftedSource()
    pod = Pod(1, 1, Identity(), (), frozenset({80}))
    assert (await node.counts(pod)).in_flight == 0
    source.established = 3
    with caplog.at_level(logging.DEBUG):
        await node.snapshot(pod, Place(()))
    (record,) = [record for record in caplog.records if record.msg == "counters corrected"]
    assert (record.__dict__["before"], record.__dict__["after"]) == ({"ESTABLISHED": 3}, {})
    assert node.drift == 3
