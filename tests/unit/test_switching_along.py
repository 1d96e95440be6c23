"""State that is transferred to the next source: places, pods, watches and ignored peers."""

import pytest

from drainmon.model.ignored import NOTHING, Ignored
from tests.unit.switching_world import POD, World, world_of_sources  # noqa: F401 - a fixture


async def test_a_place_is_reopened_by_the_next_source(world: World) -> None:
    source = await world.start()
    place = source.open(10)
    await source.snapshot(POD, place)
    world.broken, world.gone = {"core"}, {10}  # the caller has gone, a worker lives
    await source.snapshot(POD, place)
    first, second = world.places
    assert (first.owner, first.closed) == ("core", True)
    assert (second.owner, second.pid, second.closed) == ("bcc", 11, False)
    place.close()
    assert second.closed


async def test_a_place_is_not_reopened_in_another_namespace(world: World) -> None:
    source = await world.start()
    place = source.open(10)
    assert place.netns == POD.netns
    world.broken, world.elsewhere = {"core"}, {10: 8}  # its pid is another process's by now
    await source.snapshot(POD, place)
    first, other, second = world.places
    assert (other.owner, other.pid, other.closed) == ("bcc", 10, True)
    assert (second.owner, second.pid, second.closed) == ("bcc", 11, False)
    assert first.closed
    world.broken, world.elsewhere = {"core", "bcc"}, {10: 8, 11: 8}
    with pytest.raises(ProcessLookupError, match="its processes are gone"):
        await source.snapshot(POD, place)
    assert [one.closed for one in world.places[2:]] == [False, True, True]
    place.close()


async def test_a_pod_that_is_gone_does_not_break_a_source(world: World) -> None:
    source = await world.start()
    place = source.open(10)
    world.broken, world.gone = {"core"}, {10, 11}
    with pytest.raises(ProcessLookupError):
        await source.snapshot(POD, place)
    assert source.name == "bcc"
    place.close()


async def test_the_next_source_follows_the_pods(world: World) -> None:
    source = await world.start()
    source.follow([POD])
    world.broken = {"core"}
    await source.counters(POD)
    assert world.followed == {"core": [POD], "bcc": [POD]}
    world.broken = {"core", "bcc"}
    source.follow([])  # noticed here, repaired by the next call
    assert source.name == "bcc"
    await source.counters(POD)
    assert world.followed["procfs"] == []


async def test_the_next_source_watches_new_listeners(world: World) -> None:
    source = await world.start()
    source.watch_listeners()
    assert world.listened == ["core"]
    world.broken = {"core"}
    source.watch_listeners()
    await source.counters(POD)
    source.watch_listeners()
    assert world.listened == ["core", "bcc"]


async def test_the_next_source_ignores_the_same_peers(world: World) -> None:
    source = await world.start()
    ignored = Ignored.parse(["10.0.0.0/8"])
    source.ignore(POD, ignored)
    world.broken = {"core"}
    await source.counters(POD)
    assert world.ignored == {("core", 1): ignored, ("bcc", 1): ignored}
    source.ignore(POD, NOTHING)
    world.broken = {"core", "bcc"}
    await source.counters(POD)
    assert world.ignored == {("core", 1): ignored, ("bcc", 1): NOTHING}
