"""Source procfs alone as a drain uses it, by sock_diag and by rows. Import `eyes_on_pair` and
`scene_of_eyes` for the fixtures `eyes` and `scene`."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from bench.rig.netns import Netns
from drainmon.model.counts import Counts
from drainmon.model.snapshot import Snapshot
from drainmon.model.standing import Socket
from drainmon.sources.procfs import ProcfsSource
from tests.kernel.idle_pod import IdlePod
from tests.kernel.pair import Pair
from tests.kernel.scene import PairScene


class NoListener:
    def listening(self) -> None:
        raise AssertionError("procfs announces nothing")

    def changed(self, pod: int) -> None:
        raise AssertionError("procfs announces nothing")


class Eyes:
    """The source as a drain uses it, with a process that makes the namespace a pod."""

    def __init__(self, namespace: Netns, by_diag: bool) -> None:
        self.by_diag = by_diag
        self.idle = IdlePod(namespace)
        self.pod, self.pid = self.idle.pod, self.idle.pid
        self.source = ProcfsSource(NoListener(), by_diag=by_diag)
        self.place = self.source.open(self.pid)

    def snapshot(self) -> Snapshot:
        return asyncio.run(self.source.snapshot(self.pod, self.place))

    def counters(self) -> Counts:
        return asyncio.run(self.source.counters(self.pod))

    def only(self) -> Socket:
        (found,) = self.snapshot().sockets
        return found

    def close(self) -> None:
        self.idle.close()
        self.place.close()
        self.source.close()


@pytest.fixture(params=[True, False], ids=["sock_diag", "rows"], name="eyes")
def eyes_on_pair(request: pytest.FixtureRequest, pair: Pair) -> Iterator[Eyes]:
    eyes = Eyes(pair.server, request.param)
    yield eyes
    eyes.close()


class Scene(PairScene):
    def __init__(self, pair: Pair, eyes: Eyes, stack: contextlib.ExitStack) -> None:
        super().__init__(pair, stack)
        self.eyes = eyes

    def snapshot(self) -> Snapshot:
        return self.eyes.snapshot()

    def counters(self) -> dict[str, int]:
        return {state.name: n for state, n in self.eyes.counters().by_state.items()}


@pytest.fixture(name="scene")
def scene_of_eyes(pair: Pair, eyes: Eyes) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        yield Scene(pair, eyes, stack)
