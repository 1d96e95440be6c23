"""Sources that break on command. Import `world_of_sources` for the fixture `world`."""

import asyncio
from collections.abc import Callable

import pytest

from drainmon import SOURCES
from drainmon.model.counts import Counts
from drainmon.model.ignored import Ignored
from drainmon.model.snapshot import Snapshot
from drainmon.pods.identity import Identity
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.sources.base import Listeners, Place, one_by_one
from drainmon.sources.switching import SwitchingSource
from tests.unit.sockets import snapshot

POD = Pod(1, 7, Identity(), (NginxProcess(11, 1, 5),), frozenset({80}))


class NoListener:
    def listening(self) -> None: ...

    def changed(self, pod: int) -> None: ...


class FakePlace(Place):
    def __init__(self, owner: str, pid: int, netns: int) -> None:
        super().__init__((), netns)
        self.owner, self.pid, self.closed = owner, pid, False

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class FakeSource:
    """Works, unless its world marks it as broken."""

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
        netns = self._world.elsewhere.get(pid, POD.netns)
        self._world.places.append(place := FakePlace(self.name, pid, netns))
        return place

    async def counters(self, pod: Pod) -> Counts:
        self._world.reading.set()
        await self._world.may_read.wait()
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

    def watch(self, pod: Pod) -> None:
        self._check("watch by")

    def unwatch(self, pod: Pod) -> None: ...

    def ignore(self, pod: Pod, ignored: Ignored) -> None:
        self._world.ignored[self.name, pod.number] = ignored

    def missed(self) -> dict[str, int]:
        return {}

    def follow(self, pods: list[Pod]) -> None:
        self._check("follow pods by")
        self._world.followed[self.name] = pods

    def watch_listeners(self) -> None:
        self._check("watch listeners by")
        self._world.listened.append(self.name)

    def close(self) -> None:
        self.closed = True
        self._world.closed.append(self.name)


class World:
    """Which sources are broken, which processes are gone or in another namespace, which calls were
    made, and whether counters may be read yet."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.faulty: set[str] = set()
        self.gone: set[int] = set()
        self.elsewhere: dict[int, int] = {}
        self.closed: list[str] = []
        self.ignored: dict[tuple[str, int], Ignored] = {}
        self.followed: dict[str, list[Pod]] = {}
        self.listened: list[str] = []
        self.places: list[FakePlace] = []
        self.reading, self.may_read = asyncio.Event(), asyncio.Event()
        self.may_read.set()
        self.make = {name: self._maker(name) for name in SOURCES}

    def _maker(self, name: str) -> Callable[[Listeners], FakeSource]:
        return lambda _: FakeSource(self, name)

    async def start(self, *names: str) -> SwitchingSource:
        source = SwitchingSource(list(names or self.make), NoListener(), self.make)
        await source.start()
        return source


@pytest.fixture(name="world")
def world_of_sources() -> World:
    return World()
