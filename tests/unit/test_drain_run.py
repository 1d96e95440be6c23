"""A drain releases everything, however early it is abandoned."""

import asyncio
import time
from dataclasses import replace
from typing import cast

from drainmon.daemon.drain_run import DrainRun
from drainmon.daemon.drains import Drains
from drainmon.daemon.node import Node
from drainmon.drain.machine import Drain
from drainmon.drain.policy import Policy
from drainmon.drain.roll import Outcome
from drainmon.model.counts import Counts
from drainmon.model.ignored import NOTHING, Ignored
from drainmon.model.snapshot import Snapshot
from drainmon.pods.held import Held as HeldSockets
from drainmon.pods.identity import Identity
from drainmon.pods.pod import Pod, PodKey
from drainmon.sources.base import Place
from tests.unit.sockets import established, snapshot

POD = Pod(1, 7, Identity(), (), frozenset({80}))


class Held:
    """Stands in for node and registry: only holds and watches matter here."""

    def __init__(self) -> None:
        self.registry = self
        self.held = 0
        self.unwatched: list[int] = []
        self.ignored: Ignored | None = None

    def own_ports(self, _: int) -> frozenset[int]:
        return frozenset()

    def hold(self, key: PodKey) -> None:
        self.held += 1

    def release(self, key: PodKey) -> None:
        self.held -= 1

    def ignore(self, pod: Pod, ignored: Ignored) -> None:
        self.ignored = ignored

    async def look_at_held(self, pod: Pod) -> HeldSockets:
        return HeldSockets()

    def unwatch(self, pod: Pod) -> None:
        self.unwatched.append(pod.number)
        raise OSError("cannot remove an entry of the map watches")


class FakePlace(Place):
    closed = 0

    def close(self) -> None:
        self.closed += 1


async def test_a_drain_abandoned_before_it_begins_releases_everything() -> None:
    node, place, ended = Held(), FakePlace((), 0), list[DrainRun]()
    run = DrainRun(cast(Node, node), POD, Drain(Policy(), 0.0), place, ended.append)
    run.begin(asyncio.create_task)
    run.drain.leave(run.drain.demands[0])
    run.abandon()
    await run.changed(10)
    assert (run.ended, run.record.reason) == (True, "no client waits any more")
    assert (run.record.result, place.closed, node.held, node.unwatched) == ("abandoned", 1, 0, [1])
    assert ended == [run]
    assert node.ignored == NOTHING


async def test_an_exception_makes_a_failed_drain() -> None:
    node, place, ended = Held(), FakePlace((), 0), list[DrainRun]()
    run = DrainRun(cast(Node, node), POD, Drain(Policy(), 0.0), place, ended.append)
    run.begin(asyncio.create_task)  # its first step asks a node that has no answer
    await run.changed(10)
    assert (run.record.result, place.closed, node.held) == ("failed", 1, 0)
    assert ended == [run]


class Renumbered(Held):
    """A pod that was forgotten before it was held, and found again."""

    async def counts(self, pod: Pod) -> Counts:
        return Counts()

    def set_pace(self, drain: Drain) -> None:
        pass

    def get(self, key: PodKey) -> Pod:
        return replace(POD, number=2)


async def test_a_renumbered_pod_is_unwatched() -> None:
    node, ended = Renumbered(), list[DrainRun]()
    drain = Drain(Policy(), time.monotonic())
    run = DrainRun(cast(Node, node), POD, drain, FakePlace((), 0), ended.append)
    run.begin(asyncio.create_task)
    while not ended:  # the drain looks, and cannot watch
        await run.changed(10)
    assert node.unwatched == [1, 2]


class FailsLater(Held):
    """Answers one look, and fails at the next, after the follower got the first line."""

    look_interval = 0.1

    def __init__(self) -> None:
        super().__init__()
        self.looked = 0

    def pods(self) -> list[Pod]:
        return [POD]

    def open(self, pod: Pod, pid: int) -> Place:
        return FakePlace((), 0)

    def set_pace(self, drain: Drain) -> None:
        drain.look_interval = self.look_interval

    async def counts(self, pod: Pod) -> Counts:
        return Counts()

    def get(self, key: PodKey) -> Pod:
        return POD

    def watch(self, pod: Pod, callback: object) -> None:
        pass

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        self.looked += 1
        if self.looked == 2:
            raise RuntimeError("unforeseen")
        return snapshot(time.monotonic())


class Looked(FailsLater):
    """A source without counters: reading counts costs as much as a snapshot."""

    look_interval = 0.001

    def __init__(self) -> None:
        super().__init__()
        self.counted = 0

    async def counts(self, pod: Pod) -> Counts:
        self.counted += 1
        return Counts()

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        self.looked += 1
        return snapshot(time.monotonic(), established())


async def test_a_source_without_counters_is_not_counted_before_a_look() -> None:
    node = Looked()
    drains = Drains(cast(Node, node), asyncio.create_task)
    async for _ in drains.drain(
        POD, 1, Policy(min_wait=0.1, timeout=0.3, roll=False), lambda: None
    ):
        pass
    assert node.looked > 5
    assert node.counted <= node.looked + 3  # at the beginning, after settling, at the end


class Outrun(FailsLater):
    """The connection in flight ends while the roll scans the node, before its first signal."""

    look_interval = 0.01

    def __init__(self) -> None:
        super().__init__()
        self.scans = asyncio.Event()

    async def scan(self) -> None:
        self.scans.set()
        await asyncio.Event().wait()

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        return snapshot(time.monotonic(), *(() if self.scans.is_set() else (established(),)))


async def test_a_roll_that_the_drain_outruns_is_recorded() -> None:
    drains = Drains(cast(Node, Outrun()), asyncio.create_task)
    async for _ in drains.drain(POD, 1, Policy(min_wait=0.0, quiet=0.0, timeout=10), lambda: None):
        pass
    async with asyncio.timeout(10):
        while next(drains.records()).result is None:  # noqa: ASYNC110 - set by another task
            await asyncio.sleep(0.001)
    record = next(drains.records())
    assert (record.result, len(record.rolls)) == ("drained", 1)
    assert record.roll == "skipped (the drain ended before the first signal)"
    assert drains.statistics.rolls[Outcome.SKIPPED] == 1


async def test_a_failed_drain_is_not_joined() -> None:
    drains = Drains(cast(Node, FailsLater()), asyncio.create_task)
    stuck, late = (drains.drain(POD, 1, Policy(), lambda: None) for _ in range(2))
    assert (await anext(stuck))["phase"] == "settling"
    async with asyncio.timeout(10):
        while drains.running:  # noqa: ASYNC110 - set by another task
            await asyncio.sleep(0.001)
    assert (await anext(late))["phase"] == "settling"
    assert len(list(drains.records())) == 2
    await stuck.aclose()
    await late.aclose()
