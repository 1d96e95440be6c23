"""The counts of all pods, read within a share of CPU time."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from drainmon.model.counts import Counts
from drainmon.pods.pod import Pod

POLL_SHARE = 20
"""Least time between two readings, in multiples of what the last one took: 5 % of a core at most,
however often a client asks, and whatever the source."""

Found = list[tuple[Pod, Counts]]


class Polls:
    """Made inside a running event loop."""

    def __init__(self, count: Callable[[], Awaitable[Found]]) -> None:
        self._count = count
        self._counting = asyncio.Lock()
        self._next = 0.0
        self._found: Found = []

    async def latest(self) -> Found:
        """The latest counts; concurrent callers share them."""
        async with self._counting:
            began = time.monotonic()
            if began >= self._next:
                self._found = await self._count()
                ended = time.monotonic()
                self._next = ended + POLL_SHARE * (ended - began)
            return self._found
