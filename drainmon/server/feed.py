"""The feed of the web page: reads the node once a second, and sends each follower the changes since
its last turn. A slow follower gets fewer turns, not a queue. Without followers nothing is read."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator
from dataclasses import asdict
from itertools import islice

from aiohttp import web

from drainmon.server.api_health import describe_health
from drainmon.server.api_pods import describe
from drainmon.server.changes import Changes
from drainmon.server.replies import dumps
from drainmon.server.services import DrainRecords, Node

INTERVAL = 1.0
MAX_FOLLOWERS = 32
DRAINS_SHOWN = 50

READ_SHARE = 20
"""Least time between two turns, in multiples of what reading the node took: 5 % of a core."""


class Feed:
    """Made inside a running event loop."""

    def __init__(self, node: Node, drains: DrainRecords, interval: float = INTERVAL) -> None:
        self._node = node
        self._drains = drains
        self._interval = interval
        self._pods = Changes()
        self._records = Changes()
        self._reading = asyncio.Lock()
        self._next_turn = 0.0
        self._head = ""
        self._frames: dict[int, bytes] = {}
        self.followers = 0

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """Server-sent events, one per turn: `data:` and a JSON object with `full` (everything, or
        changes only), `time` (Unix seconds), `node`, `health`, `pods` and `drains` by name,
        `gone_pods`, `gone_drains`. Raises OSError when there are too many followers."""
        if self.followers >= MAX_FOLLOWERS:
            raise OSError(f"{MAX_FOLLOWERS} clients follow already")
        self.followers += 1
        try:
            since = 0
            while True:
                await self._turn(since)
                frame = self._frame(since if self._pods.knows(since) else 0)
                since = self._pods.turn
                yield frame
        finally:
            self.followers -= 1

    async def _turn(self, since: int) -> None:
        """Return at a turn other than `since`; the first follower to wait reads the node."""
        while True:
            async with self._reading:
                began = time.monotonic()
                if began >= self._next_turn:
                    await self._read()
                    took = time.monotonic() - began
                    self._next_turn = began + max(self._interval, READ_SHARE * took)
            if self._pods.turn != since:
                return
            await asyncio.sleep(self._next_turn - time.monotonic())

    async def _read(self) -> None:
        pods = {
            str(pod.number): describe(pod, counts) for pod, counts in await self._node.all_counts()
        }
        records = {
            f"{record.netns}-{record.started}": asdict(record)
            for record in islice(self._drains.records(), DRAINS_SHOWN)
        }
        self._head = dumps(
            {
                "time": round(time.time(), 3),
                "node": socket.gethostname(),
                "health": describe_health(self._node),
            }
        )
        self._frames = {}
        self._pods.update(pods)
        self._records.update(records)

    def _frame(self, since: int) -> bytes:
        """The event for followers whose last turn was `since`; 0 for everything."""
        if since not in self._frames:
            parts = [
                self._head[1:-1],
                f'"full":{dumps(not since)}',
                f'"pods":{self._pods.changed(since)}',
                f'"gone_pods":{self._pods.gone(since) if since else "[]"}',
                f'"drains":{self._records.changed(since)}',
                f'"gone_drains":{self._records.gone(since) if since else "[]"}',
            ]
            self._frames[since] = f"data: {{{','.join(parts)}}}\n\n".encode()
        return self._frames[since]


FEED: web.AppKey[Feed] = web.AppKey("feed", Feed)
