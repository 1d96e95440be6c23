"""Returning to the better source when it works again."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.switching_world import POD, World, world_of_sources  # noqa: F401 - a fixture


async def test_the_better_source_is_used_again_when_it_works(world: World) -> None:
    source = await world.start()
    world.broken = {"core", "bcc"}
    await source.counters(POD)
    task: asyncio.Task[Any] = asyncio.create_task(source.retry(first=0.001, most=0.002))
    await until(lambda: world.closed == ["core"])
    world.broken = {"core"}
    await until(lambda: source.name == "bcc")
    assert source.refused == {"core": "cannot load core: broken"}
    world.broken = set()
    await until(lambda: source.name == "core")
    assert source.refused == {}
    assert source.generation == 3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_pauses_between_retries_grow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 6:
            world.broken = set()
        elif len(pauses) == 7:
            raise asyncio.CancelledError

    source = await world.start()
    world.broken = {"core"}
    await source.counters(POD)
    monkeypatch.setattr(asyncio, "sleep", pause)
    with pytest.raises(asyncio.CancelledError):
        await source.retry(first=5, most=60)
    assert pauses == [5, 10, 20, 40, 60, 60, 5]
    assert source.name == "core"


async def test_a_call_during_a_switch_is_answered_by_the_next_source(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.broken = {"core", "bcc"}
    source = await world.start()
    world.may_read.clear()
    call = asyncio.create_task(source.counters(POD))
    await world.reading.wait()
    world.broken = set()
    retry = asyncio.create_task(source.retry(first=0.001, most=0.002))
    await until(lambda: world.closed == ["procfs"])
    world.may_read.set()
    assert (await call).accepted == len("core")
    assert (source.refused, source.generation) == ({}, 1)
    assert [one.msg for one in caplog.records if one.levelname != "INFO"] == ["source replaced"]
    retry.cancel()
    await asyncio.gather(retry, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is another object's state
            await asyncio.sleep(0.001)
