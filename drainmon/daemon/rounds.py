"""The slow round: compares counters with snapshots, one pod at a time, and scans now and then."""

import asyncio
import itertools
import logging
from bisect import bisect_right
from collections.abc import Awaitable, Iterable, Iterator

from drainmon.daemon.node import Node
from drainmon.pods.pod import Pod

log = logging.getLogger(__name__)

DROP_EVERY = 10
"""Turns between two checks for pods that have ended."""

SCAN_EVERY = 60
"""Turns between two scans without an announcement: nginx may have got its listeners from another
process, or its announcement may have been missed."""

CHECKED_AT_MOST = 32
"""Pods checked in one turn: an idle node with hundreds must cost next to nothing."""


class Rotation:
    """Rotates over the pods by number."""

    def __init__(self) -> None:
        self._last = 0

    def turn(self, pods: Iterable[int]) -> Iterator[int]:
        """The pods to check in this turn, beginning after the last one that was checked."""
        order = sorted(pods)
        start = bisect_right(order, self._last)
        for number in [*order[start:], *order[:start]][:CHECKED_AT_MOST]:
            self._last = number
            yield number


async def _try(work: Awaitable[None]) -> None:
    try:
        await work
    except OSError as error:
        log.warning("cannot compare counters", extra={"error": str(error)})
    except Exception:
        log.exception("comparing counters failed")


class Rounds:
    """Every `interval` seconds, compares the counters of one pod that has or had connections since
    its last turn with a snapshot; of all pods when events were missed."""

    def __init__(self, node: Node, interval: float) -> None:
        self._node = node
        self._interval = interval
        self._rotation = Rotation()
        self._accepted: dict[int, int] = {}
        self._missed = 0
        self._due: set[int] = set()

    async def run(self) -> None:
        """Take turns until cancelled."""
        for turn in itertools.count(1):
            await asyncio.sleep(self._interval)
            await _try(self.turn())
            await _try(self._node.find_new_pods())
            if turn % DROP_EVERY == 0:
                await _try(self._node.drop_dead_pods())
            if turn % SCAN_EVERY == 0:
                await _try(self._node.scan())

    async def turn(self) -> None:
        """Compare one pod, if any needs that."""
        if self._node.counts_by_looking:
            return
        pods = {pod.number: pod for pod in self._node.pods()}
        # A lost wake-up is not a lost event.
        missed = sum(n for place, n in self._node.missed().items() if place != "watch")
        self._missed = min(self._missed, missed)  # another source starts at zero
        if missed > self._missed:
            log.warning("events missed", extra={"missed": missed})
            self._missed, self._due = missed, set(pods)
            await self._node.scan()
        self._due &= pods.keys()
        self._accepted = {number: n for number, n in self._accepted.items() if number in pods}
        for number in self._rotation.turn(self._due or pods):
            if await self._needs(pods[number]):
                self._due.discard(number)
                self._accepted[number] = (await self._node.counts(pods[number])).accepted
                await self._node.compare(pods[number])
                return

    async def _needs(self, pod: Pod) -> bool:
        if pod.number in self._due or not self._node.is_compared(pod):
            return True
        counts = await self._node.counts(pod)
        return any(counts.by_state.values()) or counts.accepted != self._accepted.get(pod.number, 0)
