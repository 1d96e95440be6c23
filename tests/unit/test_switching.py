"""Choosing a source, going on with the next when it breaks, coming back when it works again."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from drainmon.model.ignored import NOTHING, Ignored
from drainmon.model.ledger import Counts
from drainmon.model.snapshot import Snapshot
from drainmon.pods.identity import Identity
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.sources.base import Listeners, Place, one_by_one
from drainmon.sources.choice import candidates, start_first
from drainmon.sources.switching import SwitchingSource
from tests.unit.sockets import snapshot

POD = Pod(1, 7, Identity(), (NginxProcess(11, 1, 5),), frozenset({80}))


class Nobody:
    def listening(self, netns: int, port: int) -> None: ...

    def changed(self, pod: int) -> None: ...


class FakePlace(Place):
    def __init__(self, owner: str, pid: int) -> None:
        super().__init__(())
        self.owner, self.pid, self.closed = owner, pid, False

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class FakeSource:
    """Works, unless its world says that it is broken."""

    look_interval = 1.0
    longest_pause = 1.0
    announces = True

    def __init__(self, world: "World", name: str) -> None:
        self.closed = False
        self.name = name
        self._world = world
        self._check("load")

    def _check(self, what: str) -> None:
        if self.name in self._world.faulty:
            raise RuntimeError("the dog ate it")
        if self.closed or self.name in self._world.broken:
            raise OSError(5, f"cannot {what} {self.name}: broken")

    async def start(self) -> None:
        self._check("start")

    def open(self, pid: int) -> Place:
        if pid in self._world.gone:
            raise ProcessLookupError
        self._world.places.append(place := FakePlace(self.name, pid))
        return place

    async def counters(self, pod: Pod) -> Counts:
        await asyncio.sleep(0)
        self._check("read")
        return Counts(accepted=len(self.name))

    async def all_counters(self, pods: list[Pod]) -> dict[int, Counts]:
        return await one_by_one(self, pods)

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        self._check("look by")
        assert isinstance(place, FakePlace)
        assert place.owner == self.name
        assert not place.closed
        return snapshot(1.0)

    def ports(self, netns: int) -> frozenset[int]:
        return frozenset()

    def watch(self, pod: Pod) -> None:
        self._check("watch by")

    def unwatch(self, pod: Pod) -> None: ...

    def ignore(self, pod: Pod, ignored: Ignored) -> None:
        self._world.ignored[self.name, pod.number] = ignored

    def missed(self) -> dict[str, int]:
        return {}

    async def prune(self, pods: list[Pod]) -> None:
        self._check("prune")

    def close(self) -> None:
        self.closed = True
        self._world.closed.append(self.name)


class World:
    """Which sources are broken, which processes are gone, what was opened and closed."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.faulty: set[str] = set()
        self.gone: set[int] = set()
        self.closed: list[str] = []
        self.ignored: dict[tuple[str, int], Ignored] = {}
        self.places: list[FakePlace] = []
        self.make = {name: self._maker(name) for name in ("core", "bcc", "procfs")}

    def _maker(self, name: str) -> Callable[[Listeners], FakeSource]:
        return lambda _: FakeSource(self, name)

    async def start(self, *names: str) -> SwitchingSource:
        source = SwitchingSource(list(names or self.make), Nobody(), self.make)
        await source.start()
        return source


@pytest.fixture
def world() -> World:
    return World()


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


async def test_a_place_goes_along(world: World) -> None:
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


async def test_what_is_ignored_goes_along(world: World) -> None:
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


async def test_a_pod_that_is_gone_breaks_no_source(world: World) -> None:
    source = await world.start()
    place = source.open(10)
    world.broken, world.gone = {"core"}, {10, 11}
    with pytest.raises(ProcessLookupError):
        await source.snapshot(POD, place)
    assert source.name == "bcc"
    place.close()


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


async def test_it_comes_back_when_the_better_one_works_again(world: World) -> None:
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


async def test_it_is_tried_again_later_and_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
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


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is another object's state
            await asyncio.sleep(0.001)
