"""A source that switches to the next one when the one in use fails, and back later."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar, cast

from drainmon.model.counts import Counts
from drainmon.model.ignored import NOTHING, Ignored
from drainmon.model.snapshot import Snapshot
from drainmon.pods.pod import Pod
from drainmon.sources.base import Listeners, MakeSource, Place, Source
from drainmon.sources.choice import MAKERS, start_first

log = logging.getLogger(__name__)

RETRY_FIRST = 5.0
RETRY_MOST = 300.0
"""Seconds until a failed source is tried again: the first time, and, doubled each time, at most."""

T = TypeVar("T")


class SwitchingPlace(Place):
    """A place of the source in use."""

    def __init__(self, pid: int, source: Source) -> None:
        self.pid = pid
        self.source = source
        self.place = source.open(pid)
        super().__init__((), self.place.netns)

    def close(self) -> None:
        self.place.close()

    def through(self, source: Source, pod: Pod) -> Place:
        """The same namespace for another source, through any remaining process in it. A source that
        still reads the old place in a thread has descriptors of its own."""
        if source is not self.source:
            place = _open(source, [self.pid, *(nginx.pid for nginx in pod.processes)], self.netns)
            self.place.close()
            self.place, self.source = place, source
        return self.place


def _open(source: Source, pids: list[int], netns: int) -> Place:
    """The namespace with this inode, through the first of the processes that is in it."""
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            place = source.open(pid)
            if place.netns == netns:
                return place
            place.close()
    raise ProcessLookupError("cannot reach the pod: its processes are gone")


class SwitchingSource:
    """A `Source` made of several. `start` chooses among the named ones, best first. After each
    switch `generation` is greater and counts start at zero."""

    def __init__(
        self, names: list[str], listeners: Listeners, make: Mapping[str, MakeSource] = MAKERS
    ) -> None:
        self._names = names
        self._listeners = listeners
        self._make = make
        self._current: Source | None = None
        self._switching = asyncio.Lock()
        self._failure: tuple[Source, OSError] | None = None
        self._ignored: dict[int, tuple[Pod, Ignored]] = {}
        self._pods: list[Pod] = []
        self.refused: dict[str, str] = {}
        """Why each better source is not in use."""
        self.generation = 0

    @property
    def _source(self) -> Source:
        if self._current is None:
            raise OSError("cannot count: no source works, see the log")
        return self._current

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def look_interval(self) -> float:
        return self._source.look_interval

    @property
    def longest_pause(self) -> float:
        return self._source.longest_pause

    @property
    def announces(self) -> bool:
        return self._source.announces

    async def start(self) -> None:
        self._current, self.refused = await start_first(self._names, self._listeners, self._make)

    def close(self) -> None:
        if self._current:
            self._current.close()

    async def retry(self, first: float = RETRY_FIRST, most: float = RETRY_MOST) -> None:
        """Return to better sources as soon as they work again, until cancelled."""
        pause = first
        while True:
            await asyncio.sleep(pause)
            broken = [name for name in self._names if name in self.refused]
            if not broken or self._current is None:
                pause = first
                continue
            pause = min(2 * pause, most)
            async with self._switching:
                better = self._names[: self._names.index(self.name)]
                try:
                    source, refused = await start_first(better, self._listeners, self._make)
                except OSError:
                    continue
                self._replace(source, refused)
                pause = first

    async def counters(self, pod: Pod) -> Counts:
        return await self._try(lambda source: source.counters(pod))

    async def all_counters(self, pods: list[Pod]) -> dict[int, Counts]:
        return await self._try(lambda source: source.all_counters(pods))

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        held = cast(SwitchingPlace, place)
        return await self._try(lambda source: source.snapshot(pod, held.through(source, pod)))

    def follow(self, pods: list[Pod]) -> None:
        self._pods = pods
        self._call(lambda source: source.follow(pods))

    def watch_listeners(self) -> None:
        self._call(lambda source: source.watch_listeners())

    def watch(self, pod: Pod) -> None:
        self._call(lambda source: source.watch(pod))

    def _call(self, call: Callable[[Source], None]) -> None:
        """Call a method of the source. If it fails, the next awaited call switches sources."""
        if self._current:
            try:
                call(self._current)
            except OSError as error:
                self._failure = self._current, error

    def unwatch(self, pod: Pod) -> None:
        self._source.unwatch(pod)

    def ignore(self, pod: Pod, ignored: Ignored) -> None:
        before, was_ignored = self._ignored.get(pod.number, (pod, NOTHING))
        if (before.ports, was_ignored) == (pod.ports, ignored):
            return
        if ignored:
            self._ignored[pod.number] = pod, ignored
        else:
            del self._ignored[pod.number]
        self._source.ignore(pod, ignored)

    def open(self, pid: int) -> Place:
        return SwitchingPlace(pid, self._source)

    def missed(self) -> dict[str, int]:
        return self._source.missed()

    async def _try(self, call: Callable[[Source], Awaitable[T]]) -> T:
        """The result of a call to the source in use; if it fails, of the next source."""
        while True:
            if self._failure:
                failure, self._failure = self._failure, None
                await self._give_up(*failure)
            source = self._source
            try:
                return await call(source)
            except (FileNotFoundError, ProcessLookupError):
                raise  # the pod has ended; the source works
            except OSError as error:
                await self._give_up(source, error)
            except Exception as error:
                if source is self._current:
                    log.exception("source failed", extra={"source": source.name})
                await self._give_up(source, OSError(f"cannot count: {error!r}"))

    async def _give_up(self, broken: Source, error: OSError) -> None:
        async with self._switching:
            if self._current is not broken:
                return  # another call has switched already
            why = error.strerror or str(error)
            rest = self._names[self._names.index(broken.name) + 1 :]
            if not rest:
                raise error
            source, refused = await start_first(rest, self._listeners, self._make)
            self._replace(source, self.refused | {broken.name: why} | refused)

    def _replace(self, source: Source, refused: dict[str, str]) -> None:
        if self._current:
            log.warning(
                "source replaced",
                extra={"source": self._current.name, "by": source.name, "refused": refused},
            )
            self._current.close()
        self._current, self.refused = source, refused
        self._call(lambda source: source.follow(self._pods))
        for pod, ignored in self._ignored.values():
            source.ignore(pod, ignored)
        self.generation += 1
