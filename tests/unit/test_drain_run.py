"""A drain lets go of everything, however early it is given up."""

import asyncio
import time
from dataclasses import replace
from typing import cast

from drainmon.daemon.drain_run import DrainRun
from drainmon.daemon.node import Node
from drainmon.drain.machine import Drain
from drainmon.drain.policy import Policy
from drainmon.model.ignored import NOTHING, Ignored
from drainmon.model.ledger import Counts
from drainmon.pods.identity import Identity
from drainmon.pods.pod import Pod, PodKey
from drainmon.sources.base import Place

POD = Pod(1, 7, Identity(), (), frozenset({80}))


class Held:
    """Stands for node and registry: only what is held and watched matters here."""

    def __init__(self) -> None:
        self.registry = self
        self.held = 0
        self.unwatched: list[int] = []
        self.ignored: Ignored | None = None

    def hold(self, key: PodKey) -> None:
        self.held += 1

    def release(self, key: PodKey) -> None:
        self.held -= 1

    def ignore(self, pod: Pod, ignored: Ignored) -> None:
        self.ignored = ignored

    def unwatch(self, pod: Pod) -> None:
        self.unwatched.append(pod.number)
        raise OSError("cannot remove an entry of the map watches")


class FakePlace(Place):
    closed = 0

    def close(self) -> None:
        self.closed += 1


async def test_given_up_before_it_has_begun() -> None:
    node, place, ended = Held(), FakePlace(()), list[DrainRun]()
    run = DrainRun(cast(Node, node), POD, Drain(Policy(), 0.0), place, ended.append)
    run.begin(asyncio.create_task)
    run.drain.leave(run.drain.demands[0])
    run.abandon()
    await run.changed(10)
    assert (run.ended, run.record.reason) == (True, "nobody waits any more")
    assert (run.record.result, place.closed, node.held, node.unwatched) == ("abandoned", 1, 0, [1])
    assert ended == [run]
    assert node.ignored == NOTHING


async def test_what_fails_is_a_failed_drain() -> None:
    node, place, ended = Held(), FakePlace(()), list[DrainRun]()
    run = DrainRun(cast(Node, node), POD, Drain(Policy(), 0.0), place, ended.append)
    run.begin(asyncio.create_task)  # its first step asks a node that has no answer
    await run.changed(10)
    assert (run.record.result, place.closed, node.held) == ("failed", 1, 0)
    assert ended == [run]


class Renumbered(Held):
    """The pod was forgotten before it was held, and found again."""

    async def counts(self, pod: Pod) -> Counts:
        return Counts()

    def set_pace(self, drain: Drain) -> None:
        pass

    def get(self, key: PodKey) -> Pod:
        return replace(POD, number=2)


async def test_a_pod_that_was_forgotten_meanwhile_is_not_watched_for_ever() -> None:
    node, ended = Renumbered(), list[DrainRun]()
    drain = Drain(Policy(), time.monotonic())
    run = DrainRun(cast(Node, node), POD, drain, FakePlace(()), ended.append)
    run.begin(asyncio.create_task)
    while not ended:  # it looks, and cannot watch
        await run.changed(10)
    assert node.unwatched == [1, 2]
