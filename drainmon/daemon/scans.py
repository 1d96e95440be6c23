"""Scans of the whole node for nginx: one at a time, shared by callers, at intervals that cost
little."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine

from drainmon.pods.pod import Pod
from drainmon.pods.registry import Registry
from drainmon.uninterrupted import uninterrupted

SCAN_PAUSE = 0.2
"""Seconds from a new listener to the scan for its process: listeners come in groups."""

SCAN_EVERY = 2.0
"""Seconds between two scans where nothing announces new listeners."""

SCAN_REST = 0.1
"""Least seconds between two scans, so that clients without nginx cannot keep the daemon busy."""

SCAN_SHARE = 50
"""Least time from a new listener to its scan, in multiples of what the last scan took: scans must
stay cheap on a node where servers come and go all the time."""

Spawn = Callable[[Coroutine[None, None, None]], asyncio.Task[None]]
"""Starts a task that the daemon owns."""


class Scans:
    """Made inside a running event loop. `begins` is called before each scan, `scanned` after it
    with the pods that have gone."""

    def __init__(
        self,
        registry: Registry,
        spawn: Spawn,
        begins: Callable[[], None],
        scanned: Callable[[list[Pod]], Awaitable[None]],
    ) -> None:
        self._registry = registry
        self._spawn = spawn
        self._begins = begins
        self._scanned = scanned
        self._planned = False
        self._begun = 0
        self._seconds = 0.0
        self._next = 0.0
        self._scanning = asyncio.Lock()

    async def scan(self) -> None:
        """Return after a scan that began after the call: nginx may have begun to listen a moment
        ago. Concurrent callers share a scan."""
        required = self._begun + 1
        async with self._scanning:
            if self._begun >= required:
                return
            await asyncio.sleep(max(0.0, self._next - time.monotonic()))
            self._begun += 1
            await uninterrupted(self._scan_now())

    async def _scan_now(self) -> None:
        before = self._registry.pods()
        self._begins()
        self._seconds = await asyncio.to_thread(self._timed_scan)
        self._next = time.monotonic() + max(SCAN_REST, self._seconds)
        numbers = {pod.number for pod in self._registry.pods()}
        await self._scanned([pod for pod in before if pod.number not in numbers])

    def _timed_scan(self) -> float:
        """Scan, and return its seconds of CPU time in this thread: on a busy node real time is
        longer."""
        began = time.thread_time()
        self._registry.scan()
        return time.thread_time() - began

    def plan(self) -> None:
        """Scan soon, for a new listener."""
        if not self._planned:
            self._planned = True
            self._spawn(self._scan_soon())

    async def _scan_soon(self) -> None:
        await asyncio.sleep(max(SCAN_PAUSE, SCAN_SHARE * self._seconds))
        self._planned = False
        await self.scan()

    async def scan_now_and_then(self) -> None:
        """Scan, if the last scan was long enough ago for its cost."""
        rest = max(SCAN_EVERY, SCAN_SHARE * self._seconds)
        if time.monotonic() > self._next + rest:
            await self.scan()
