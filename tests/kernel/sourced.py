"""A source of any kind under test, beside ss."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from drainmon.model.snapshot import Snapshot
from drainmon.sources.base import Place, Source
from tests.kernel.idle_pod import IdlePod
from tests.kernel.pair import Pair, ss_states
from tests.waiting import WAIT


class Reports:
    """The reports of a source."""

    def __init__(self) -> None:
        self.listeners = 0
        self.changes: list[int] = []

    def listening(self) -> None:
        self.listeners += 1

    def changed(self, pod: int) -> None:
        self.changes.append(pod)


class SourceScene:
    """A source and an idle pod. `knows_use`: it reports how many bytes came and went, and when."""

    def __init__(
        self, source: Source, reports: Reports, pair: Pair, idle: IdlePod, knows_use: bool = True
    ) -> None:
        self.knows_use = knows_use
        self.source, self.reports, self.pair = source, reports, pair
        self.pid, self.pod = idle.pid, idle.pod
        self.place: Place = source.open(idle.pid)

    async def snapshot(self) -> Snapshot:
        return await self.source.snapshot(self.pod, self.place)

    async def counters(self) -> Counter[str]:
        counts = await self.source.counters(self.pod)
        return Counter({state.name: n for state, n in counts.by_state.items() if n})

    async def check(self, **expected: int) -> None:
        """Wait until ss lists the expected states; a snapshot must match, and soon the counters."""
        await until(lambda: self._agree(Counter(expected)))

    async def _agree(self, expected: Counter[str]) -> bool:
        if ss_states(self.pair.server) != expected:
            return False
        snapshot = await self.snapshot()
        assert {state.name: n for state, n in snapshot.by_state().items()} == expected
        connections = Counter(s.state.name for s in snapshot.sockets if not s.minisocket)
        return await self.counters() == connections


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """`eventually`, with the loop running."""
    async with asyncio.timeout(WAIT):
        while not await condition():  # noqa: ASYNC110 - the kernel sets no event
            await asyncio.sleep(0.002)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
