"""One reading of the node for all followers, and none without followers."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from drainmon.model.counts import Counts
from drainmon.model.tcp import TcpState
from drainmon.pods.pod import Pod
from drainmon.server import feed
from drainmon.server.feed import Feed
from tests.unit.made_up import POD, FakeDrains, FakeNode

INTERVAL = 0.05


class CountedNode(FakeNode):
    """Counts its readings; with each reading one more connection is accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0
        self.broken = False

    async def counts(self, pod: Pod) -> Counts:
        if self.broken:
            raise OSError("cannot read the counters: gone")
        self.read += 1
        return Counts({TcpState.ESTABLISHED: 2}, self.read, 1.0)


def frame(event: bytes) -> Any:
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 2
    return json.loads(event.removeprefix(b"data: "))


async def test_a_follower_gets_everything_and_then_changes() -> None:
    node = CountedNode()
    node.known = [POD]
    async with aclosing(Feed(node, FakeDrains(), INTERVAL).follow()) as events:
        first, second = frame(await anext(events)), frame(await anext(events))
        assert first["full"] is True
        assert first["health"]["source"] == "fake"
        assert first["node"]
        ((name, pod),) = first["pods"].items()
        assert (name, pod["pod"]) == ("1", "shop/web-7d4b9")
        assert (pod["in_flight"], pod["accepted"]) == (2, 1)
        assert [drain["result"] for drain in first["drains"].values()] == ["drained"]
        assert second["full"] is False
        assert second["pods"][name]["accepted"] == 2
        assert second["drains"] == {}
        assert second["time"] > first["time"]
        node.known = []
        third = frame(await anext(events))
        assert (third["pods"], third["gone_pods"]) == ({}, ["1"])


async def test_followers_share_one_reading() -> None:
    node = CountedNode()
    shared = Feed(node, FakeDrains(), INTERVAL)

    async def watch(turns: int) -> list[int]:
        seen = []
        async with aclosing(shared.follow()) as events:
            for _ in range(turns):
                seen += [pod["accepted"] for pod in frame(await anext(events))["pods"].values()]
        return seen

    everybody = await asyncio.gather(*(watch(4) for _ in range(20)))
    assert everybody == [[1, 2, 3, 4]] * 20
    assert node.read == 4


async def test_nothing_is_read_without_followers() -> None:
    node = CountedNode()
    shared = Feed(node, FakeDrains(), INTERVAL)
    assert node.read == 0
    async with aclosing(shared.follow()) as events:
        await anext(events)
    assert shared.followers == 0
    await asyncio.sleep(3 * INTERVAL)
    assert node.read == 1
    # A follower that comes back gets current values.
    async with aclosing(shared.follow()) as events:
        assert frame(await anext(events))["pods"]["1"]["accepted"] == 2


async def test_a_slow_follower_skips_turns_and_gets_every_change() -> None:
    node = CountedNode()
    shared = Feed(node, FakeDrains(), INTERVAL)
    async with aclosing(shared.follow()) as slow, aclosing(shared.follow()) as quick:
        await anext(slow)
        node.known = []
        for _ in range(5):
            await anext(quick)
        update = frame(await anext(slow))
        assert update["gone_pods"] == ["1"]


async def test_too_many_followers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_FOLLOWERS", 1)
    shared = Feed(CountedNode(), FakeDrains(), INTERVAL)
    async with aclosing(shared.follow()) as events:
        await anext(events)
        with pytest.raises(OSError, match="1 clients follow already"):
            await anext(shared.follow())
    async with aclosing(shared.follow()) as events:
        await anext(events)


async def test_a_node_that_is_slow_to_read_is_read_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "READ_SHARE", 10)
    node = CountedNode()
    counts = node.counts

    async def slowly(pod: Pod) -> Counts:
        await asyncio.sleep(0.02)
        return await counts(pod)

    monkeypatch.setattr(node, "counts", slowly)
    async with aclosing(Feed(node, FakeDrains(), INTERVAL).follow()) as events:
        first, second = frame(await anext(events)), frame(await anext(events))
    assert second["time"] - first["time"] >= 0.18
