"""Choosing a source, and switching to the next when it breaks."""

import asyncio

import pytest

from drainmon import SOURCES
from drainmon.sources.choice import candidates, start_first
from tests.unit.switching_world import (  # noqa: F401 - a fixture
    POD,
    FakeSource,
    NoListener,
    World,
    world_of_sources,
)


def test_candidates_follow_from_the_option() -> None:
    assert candidates("auto") == list(SOURCES)
    assert candidates("bcc") == ["bcc"]


async def test_the_best_working_source_is_chosen(world: World) -> None:
    world.broken = {"core"}
    source = await world.start()
    assert source.name == "bcc"
    assert source.refused == {"core": "cannot load core: broken"}


async def test_no_working_source_is_an_error_with_every_reason(world: World) -> None:
    world.broken = {"core", "procfs"}
    with pytest.raises(OSError, match=r"cannot load core: broken; cannot load procfs: broken"):
        await start_first(["core", "procfs"], NoListener(), world.make)


async def test_a_source_that_does_not_start_is_closed(world: World) -> None:
    class Late(FakeSource):
        async def start(self) -> None:
            raise OSError(5, "cannot start")

    world.make["core"] = lambda _: Late(world, "core")
    assert (await world.start()).name == "bcc"
    assert world.closed == ["core"]


async def test_a_call_to_a_broken_source_is_answered_by_the_next(world: World) -> None:
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


async def test_a_source_with_an_unexpected_exception_is_replaced(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    source = await world.start()
    world.faulty = {"core"}
    assert (await source.counters(POD)).accepted == len("bcc")
    assert source.refused == {"core": "cannot count: RuntimeError('the dog ate it')"}
    assert "the dog ate it" in caplog.text


async def test_concurrent_failures_switch_once(world: World) -> None:
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


async def test_a_failure_of_the_last_source_is_an_error(world: World) -> None:
    source = await world.start("procfs")
    world.broken = {"procfs"}
    with pytest.raises(OSError, match="cannot read procfs"):
        await source.counters(POD)
    world.broken = set()
    assert await source.counters(POD)
