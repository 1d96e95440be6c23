"""Drains that continue for a moment after their caller has disconnected, so that a caller that
comes back finds its drain."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

LINGER = 2.0
"""Seconds that a drain without callers waits for one to come back."""

Line = dict[str, Any]


@dataclass
class _Drain:
    task: asyncio.Task[Line]
    callers: int = 0
    leaving: asyncio.TimerHandle | None = None


class Followed:
    """Callers that ask for the same drain share it. Made inside a running event loop."""

    def __init__(self, linger: float = LINGER) -> None:
        self._linger = linger
        self._drains: dict[Hashable, _Drain] = {}
        self._running: set[asyncio.Task[Line]] = set()

    async def last_line(
        self, key: Hashable, drain: Callable[[], AsyncGenerator[Line, None]]
    ) -> Line:
        """The last line of the drain with this key, begun by `drain` if there is none. When the
        caller is cancelled the drain continues, and ends if no caller requests it in time. Raises
        what the drain raises, and OSError when the drain failed."""
        followed = self._drains.get(key) or self._begin(key, drain)
        followed.callers += 1
        if followed.leaving:
            followed.leaving.cancel()
            followed.leaving = None
        try:
            return await asyncio.shield(followed.task)
        finally:
            followed.callers -= 1
            if not (followed.callers or followed.task.done()):
                loop = asyncio.get_running_loop()
                followed.leaving = loop.call_later(self._linger, self._leave, key, followed)

    async def finish(self) -> None:
        """Return when every drain has ended."""
        while self._running:
            await asyncio.wait(self._running)

    async def abandon(self) -> None:
        """End all drains now."""
        for task in self._running:
            task.cancel()
        await self.finish()

    def _begin(self, key: Hashable, drain: Callable[[], AsyncGenerator[Line, None]]) -> _Drain:
        task = asyncio.create_task(_follow(drain))
        followed = self._drains[key] = _Drain(task)
        self._running.add(task)
        task.add_done_callback(lambda _: self._ended(key, followed))
        return followed

    def _leave(self, key: Hashable, followed: _Drain) -> None:
        """End a drain without callers; the next caller begins a new one."""
        self._forget(key, followed)
        followed.task.cancel()

    def _ended(self, key: Hashable, followed: _Drain) -> None:
        self._forget(key, followed)
        self._running.discard(followed.task)
        if followed.leaving:
            followed.leaving.cancel()
        if not followed.task.cancelled():
            followed.task.exception()  # retrieved: callers have received it already

    def _forget(self, key: Hashable, followed: _Drain) -> None:
        if self._drains.get(key) is followed:
            del self._drains[key]


async def _follow(drain: Callable[[], AsyncGenerator[Line, None]]) -> Line:
    async with aclosing(drain()) as lines:
        async for line in lines:
            if "result" in line:
                return line
    raise OSError("the drain failed, see the log")
