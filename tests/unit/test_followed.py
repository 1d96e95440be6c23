"""Callers that share a drain, leave, and come back."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from drainmon.server.followed import Followed


class Drain:
    """Ends on command; counts how often it was begun, and left."""

    def __init__(self, *lines: dict[str, Any]) -> None:
        self.lines = lines or ({"phase": "settling"}, {"result": "drained"})
        self.ends = asyncio.Event()
        self.begun = self.left = 0

    async def run(self) -> AsyncGenerator[dict[str, Any], None]:
        self.begun += 1
        try:
            yield self.lines[0]
            await self.ends.wait()
            for line in self.lines[1:]:
                yield line
        finally:
            self.left += 1


async def call(followed: Followed, drain: Drain) -> asyncio.Task[dict[str, Any]]:
    caller = asyncio.create_task(followed.last_line("pod", drain.run))
    await turns()
    return caller


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def hang_up(caller: asyncio.Task[dict[str, Any]]) -> None:
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_two_callers_share_one_drain() -> None:
    followed, drain = Followed(), Drain()
    callers = [await call(followed, drain) for _ in range(2)]
    drain.ends.set()
    assert await asyncio.gather(*callers) == [{"result": "drained"}] * 2
    assert (drain.begun, drain.left) == (1, 1)
    drain = Drain()
    drain.ends.set()
    await (await call(followed, drain))
    assert drain.begun == 1  # the next one is another drain


async def test_a_drain_is_left_after_its_last_caller() -> None:
    followed, drain = Followed(linger=0.01), Drain()
    first, second = [await call(followed, drain) for _ in range(2)]
    await hang_up(first)
    await asyncio.sleep(0.05)
    assert drain.left == 0
    await hang_up(second)
    assert drain.left == 0
    async with asyncio.timeout(5):
        await followed.finish()
    assert drain.left == 1


async def test_a_returning_caller_joins_its_drain() -> None:
    followed, drain = Followed(linger=0.05), Drain()
    await hang_up(await call(followed, drain))
    caller = await call(followed, drain)
    await asyncio.sleep(0.1)
    drain.ends.set()
    assert await caller == {"result": "drained"}
    assert drain.begun == 1


async def test_a_drain_that_is_ending_is_not_joined() -> None:
    """Cancelled, but not over: a scan is not interrupted."""
    followed, drain, other = Followed(linger=0.0), Drain(), Drain()
    stays = asyncio.Event()

    async def slow() -> AsyncGenerator[dict[str, Any], None]:
        try:
            async for line in drain.run():
                yield line
        finally:
            await stays.wait()

    caller = asyncio.create_task(followed.last_line("pod", slow))
    await turns()
    await hang_up(caller)
    await turns()
    back = await call(followed, other)
    other.ends.set()
    assert await back == {"result": "drained"}
    stays.set()
    await followed.finish()


async def test_a_drain_that_breaks_off_is_an_error() -> None:
    followed, drain = Followed(), Drain({"phase": "settling"})
    drain.ends.set()
    with pytest.raises(OSError, match="the drain failed, see the log"):
        await (await call(followed, drain))
    await followed.finish()


async def test_drains_are_abandoned_at_the_daemons_end() -> None:
    followed, drain = Followed(), Drain()
    caller = await call(followed, drain)
    await followed.abandon()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert drain.left == 1
