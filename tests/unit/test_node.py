"""Scans: nobody is answered by one that began before the question."""

import asyncio
import threading

import pytest

from drainmon.daemon import node as node_module
from drainmon.daemon.node import Node
from drainmon.pods.discovery import Registry


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
