"""The counts of all pods, read again only as often as that may cost."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from drainmon.model.counts import Counts
from drainmon.pods.pod import Pod

POLL_SHARE = 20
"""The counts of all pods are read again no sooner than this many times what the last time took:
however often somebody asks, and whatever the source, that takes 5 % of a core at the most."""

Found = list[tuple[Pod, Counts]]


class Polls:
    """Made inside a running event loop."""

    def __init__(self, count: Callable[[], Awaitable[Found]]) -> None:
        self._count = count
        self._counting = asyncio.Lock()
        self._next = 0.0
        self._found: Found = []

    async def latest(self) -> Found:
        """Callers that come at once share an answer."""
        async with self._counting:
            began = time.monotonic()
            if began >= self._next:
                self._found = await self._count()
                ended = time.monotonic()
                self._next = ended + POLL_SHARE * (ended - began)
            return self._found
