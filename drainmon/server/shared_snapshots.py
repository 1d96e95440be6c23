"""Snapshots of a pod's connections for people, one pod at a time, so that callers cannot keep the
node busy."""

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from drainmon.drain.report import describe_socket
from drainmon.model.snapshot import Snapshot, format_states
from drainmon.model.standing import Socket
from drainmon.pods.pod import Pod
from drainmon.uninterrupted import uninterrupted

SHOWN = 200

FRESH_FOR = 1.0
"""Seconds for which callers that ask for the same pod get the same answer."""

PAUSE_SHARE = 10
"""Least time between two snapshots, in multiples of what the last one took."""


Take = Callable[[], Awaitable[Snapshot]]


class SharedSnapshots:
    """Made inside a running event loop."""

    def __init__(self) -> None:
        self._taking = asyncio.Lock()
        self._next = 0.0
        self._last: tuple[int, float, dict[str, Any]] = (0, 0.0, {})

    async def of(self, pod: Pod, take: Take) -> dict[str, Any]:
        """The pod's connections, from a snapshot by `take`. Raises what `take` raises."""
        async with self._taking:
            number, when, answer = self._last
            if number == pod.number and time.monotonic() < when + FRESH_FOR:
                return answer
            await asyncio.sleep(self._next - time.monotonic())
            return await uninterrupted(self._take(pod, take))

    async def _take(self, pod: Pod, take: Take) -> dict[str, Any]:
        began = time.monotonic()
        try:
            answer = await asyncio.to_thread(_describe, await take())
            self._last = (pod.number, time.monotonic(), answer)
            return answer
        finally:
            ended = time.monotonic()
            self._next = ended + PAUSE_SHARE * (ended - began)


SNAPSHOTS: web.AppKey[SharedSnapshots] = web.AppKey("snapshots", SharedSnapshots)
"""For callers that may see every pod."""

OWN_SNAPSHOTS: web.AppKey[SharedSnapshots] = web.AppKey("own_snapshots", SharedSnapshots)
"""For pods that ask about themselves; these wait for one another only."""


def _describe(snapshot: Snapshot) -> dict[str, Any]:
    first = heapq.nsmallest(SHOWN, snapshot.sockets, key=_rank)
    return {
        "total": len(snapshot.sockets),
        "by_state": format_states(snapshot.by_state()),
        "connections": [describe_socket(s, snapshot.taken) for s in first],
        "listeners": [
            {"port": port.local_port, "unaccepted": port.unaccepted, "limit": port.limit}
            for port in snapshot.listeners
        ],
    }


def _rank(socket: Socket) -> tuple[bool, float]:
    """A sort key: connections in flight first, the oldest of them first."""
    return not socket.in_flight, socket.opened or 0.0
