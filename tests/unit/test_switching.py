"""Choosing a source, and going on with the next when it breaks."""

import asyncio

import pytest

from drainmon.sources.choice import candidates, start_first
from tests.unit.switching_world import (  # noqa: F401 - a fixture
    POD,
    FakeSource,
    Nobody,
    World,
    world_of_sources,
)


def test_candidates() -> None:
    assert candidates("auto") == ["core", "bcc", "procfs"]
    assert candidates("bcc") == ["bcc"]


async def test_the_best_that_works_is_chosen(world: World) -> None:
    world.broken = {"core"}
    source = await world.start()
    assert source.name == "bcc"
    assert source.refused == {"core": "cannot load core: broken"}


async def test_none_that_works_is_an_error_with_every_reason(world: World) -> None:
    world.broken = {"core", "procfs"}
    with pytest.raises(OSError, match=r"cannot load core: broken; cannot load procfs: broken"):
        await start_first(["core", "procfs"], Nobody(), world.make)


async def test_one_that_does_not_start_is_closed(world: World) -> None:
    class Late(FakeSource):
        async def start(self) -> None:
            raise OSError(5, "cannot start")

    world.make["core"] = lambda _: Late(world, "core")
    assert (await world.start()).name == "bcc"
    assert world.closed == ["core"]


async def test_a_broken_source_is_replaced_and_the_call_answered(world: World) -> None:
    source = await world.start()
    world.broken = {"core", "bcc"}
    assert (await source.counters(POD)).accepted == len("procfs")
    assert source.name == "procfs"
    assert source.refused == {
        "core": "cannot read core: broken",
        "bcc": "cannot load bcc: broken",
    }
    assert source.generation == 1
    assert world.closed == ["core"]


async def test_a_source_that_fails_as_nobody_foresaw_is_replaced(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    source = await world.start()
    world.faulty = {"core"}
    assert (await source.counters(POD)).accepted == len("bcc")
    assert source.refused == {"core": "cannot count: RuntimeError('the dog ate it')"}
    assert "the dog ate it" in caplog.text


async def test_many_that_notice_at_once_switch_once(world: World) -> None:
    source = await world.start()
    world.broken = {"core"}
    await asyncio.gather(*(source.counters(POD) for _ in range(10)))
    assert source.generation == 1


async def test_a_watch_that_fails_switches_at_the_next_look(world: World) -> None:
    source = await world.start()
    world.broken = {"core"}
    source.watch(POD)
    assert source.name == "core"
    await source.counters(POD)
    assert source.name == "bcc"


async def test_the_last_one_that_breaks_is_an_error(world: World) -> None:
    source = await world.start("procfs")
    world.broken = {"procfs"}
    with pytest.raises(OSError, match="cannot read procfs"):
        await source.counters(POD)
    world.broken = set()
    assert await source.counters(POD)
