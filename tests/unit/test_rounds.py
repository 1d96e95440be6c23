"""The slow round: the order of pods, and the effect of missed events."""

import asyncio
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from drainmon.daemon.node import Node
from drainmon.daemon.rounds import CHECKED_AT_MOST, DROP_EVERY, SCAN_EVERY, Rotation, Rounds
from drainmon.model.counts import Counts
from drainmon.model.tcp import TcpState
from drainmon.pods.identity import Identity
from drainmon.pods.pod import Pod

IDLE, BUSY = Counts(), Counts({TcpState.ESTABLISHED: 1})


class FakeNode:
    """Counts by pod number; records which pods were compared."""

    counts_by_looking = False

    def __init__(self, **counts: Counts) -> None:
        self.by_number = {int(name[1:]): count for name, count in counts.items()}
        self.compared: list[int] = []
        self.lost = 0
        self.chores: list[str] = []
        self.broken = False
        self.scanned = asyncio.Event()

    def pods(self) -> list[Pod]:
        return [Pod(number, 1, Identity(), (), frozenset()) for number in self.by_number]

    async def counts(self, pod: Pod) -> Counts:
        return self.by_number[pod.number]

    def missed(self) -> dict[str, int]:
        return {"event": self.lost}

    async def compare(self, pod: Pod) -> None:
        self.compared.append(pod.number)
        if self.broken:
            raise OSError("cannot enter the network namespace: it is gone")

    def is_compared(self, _pod: Pod) -> bool:
        return True

    async def find_new_pods(self) -> None:
        self.chores.append("find")

    async def drop_dead_pods(self) -> None:
        self.chores.append("drop")

    async def scan(self) -> None:
        self.chores.append("scan")
        self.scanned.set()


def rounds(node: FakeNode, interval: float = 1.0) -> Rounds:
    return Rounds(cast(Node, node), interval)


async def turns(node: FakeNode, number: int) -> list[int]:
    going = rounds(node)
    for _ in range(number):
        await going.turn()
    return node.compared


async def test_each_turn_compares_the_next_pod() -> None:
    assert await turns(FakeNode(p1=BUSY, p2=BUSY, p3=BUSY), 4) == [1, 2, 3, 1]


async def test_idle_pods_are_skipped() -> None:
    assert await turns(FakeNode(p1=IDLE, p2=BUSY, p3=IDLE), 2) == [2, 2]
    assert await turns(FakeNode(p1=IDLE), 3) == []


async def test_a_pod_with_past_connections_is_compared_once() -> None:
    assert await turns(FakeNode(p1=Counts(accepted=7), p2=IDLE), 3) == [1]


async def test_a_source_without_counters_compares_nothing() -> None:
    node = FakeNode(p1=BUSY)
    node.counts_by_looking = True
    assert await turns(node, 3) == []


async def test_missed_events_cause_every_pod_to_be_compared() -> None:
    node = FakeNode(p1=IDLE, p2=IDLE, p3=IDLE)
    going = rounds(node)
    await going.turn()
    assert node.compared == []
    node.lost = 1
    for _ in range(5):
        await going.turn()
    assert node.compared == [1, 2, 3]


async def test_missed_events_of_another_source_count_again() -> None:
    node = FakeNode(p1=IDLE)
    going = rounds(node)
    for missed in (5, 0, 1):
        node.lost = missed
        await going.turn()
    assert node.compared == [1, 1]


async def test_a_departed_pod_is_not_compared() -> None:
    node = FakeNode(p1=IDLE, p2=IDLE)
    going = rounds(node)
    node.lost = 1
    await going.turn()
    del node.by_number[2]
    await going.turn()
    await going.turn()
    assert node.compared == [1]


async def test_chores_continue_after_a_failure() -> None:
    node = FakeNode(p1=BUSY)
    node.broken = True
    task = asyncio.create_task(rounds(node, interval=0.0001).run())
    async with asyncio.timeout(10):
        await node.scanned.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(node.compared) >= SCAN_EVERY
    assert node.chores.count("drop") == SCAN_EVERY // DROP_EVERY


@given(st.sets(st.integers(1, 10_000), max_size=200))
def test_every_pod_has_its_turn(pods: set[int]) -> None:
    rotation = Rotation()
    asked: set[int] = set()
    for _ in range(-(-len(pods) // CHECKED_AT_MOST)):
        turn = list(rotation.turn(pods))
        assert len(turn) <= CHECKED_AT_MOST
        asked.update(turn)
    assert asked == pods


@given(st.sets(st.integers(1, 100), min_size=1), st.integers(1, 5))
def test_an_interrupted_turn_continues_at_its_end(pods: set[int], rounds: int) -> None:
    rotation = Rotation()
    order = [next(rotation.turn(pods)) for _ in range(rounds * len(pods))]
    assert order == sorted(pods) * rounds
