"""Source procfs when a call is cancelled, or when it is closed during looks."""

import asyncio
import contextlib
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from drainmon.model.snapshot import Snapshot
from drainmon.pods.pod import Pod
from drainmon.procfs.process import netns_inode
from drainmon.sources.pod_net import PodNet
from drainmon.sources.procfs import ProcfsSource
from drainmon.sources.watcher import Watcher
from tests.kernel.eyes import NoListener, Scene, eyes_on_pair, scene_of_eyes  # noqa: F401 - fixtures
from tests.kernel.sourced import open_files
from tests.waiting import eventually

pytestmark = pytest.mark.root

CLOSED = "cannot count: the source is closed"


def test_a_cancelled_call_leaks_nothing(scene: Scene) -> None:
    scene.connect()

    async def give_up() -> None:
        place = scene.eyes.source.open(scene.eyes.pid)
        task = asyncio.ensure_future(scene.eyes.source.snapshot(scene.eyes.pod, place))
        await asyncio.sleep(0)
        task.cancel()
        place.close()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    files = open_files()
    for _ in range(50):
        asyncio.run(give_up())
    eventually(lambda: open_files() <= files)
    scene.check(ESTABLISHED=1)


class SlowLooks:
    """Makes looks wait until they may continue."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self.may_go_on = threading.Event()
        look = Watcher.look

        def slow_look(watcher: Watcher, pod: Pod, place: PodNet) -> Snapshot:
            self.begun += 1
            assert self.may_go_on.wait(10)
            return look(watcher, pod, place)

        monkeypatch.setattr(Watcher, "look", slow_look)


def test_looks_that_began_before_closing_are_answered(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another source takes over, and drains wait for more looks than there are threads."""
    scene.connect()
    files = open_files()
    looks = SlowLooks(monkeypatch)
    source, pod, place = scene.eyes.source, scene.eyes.pod, scene.eyes.place
    other = replace(pod, number=2)
    its_place = source.open(scene.eyes.pid)

    async def close_meanwhile() -> list[Snapshot | BaseException]:
        asked = [(pod, place), (other, its_place), (pod, place), (pod, place), (pod, place)]
        waiting = [asyncio.ensure_future(source.snapshot(*each)) for each in asked]
        async with asyncio.timeout(10):
            while looks.begun < 2:  # noqa: ASYNC110 - it happens in a thread
                await asyncio.sleep(0.001)
        source.close()
        looks.may_go_on.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    answers = asyncio.run(close_meanwhile())
    assert [len(one.in_flight()) for one in answers if isinstance(one, Snapshot)] == [1, 1]
    assert {str(one) for one in answers if isinstance(one, OSError)} == {CLOSED}
    assert len(answers) == 5
    its_place.close()
    eventually(lambda: open_files() <= files)
    with pytest.raises(OSError, match=CLOSED):
        scene.eyes.snapshot()
    assert open_files() <= files


def test_closing_waits_for_the_samples_of_an_unfinished_look(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The samples are closed after the thread that reads them, even if its call is cancelled."""
    looks = SlowLooks(monkeypatch)
    source = ProcfsSource(NoListener(), ("kubelet",), frozenset({netns_inode()}))

    async def give_up_and_close() -> None:
        await source.start()
        source.watch(scene.eyes.pod)
        call = asyncio.ensure_future(source.snapshot(scene.eyes.pod, scene.eyes.place))
        async with asyncio.timeout(10):
            while not looks.begun:  # noqa: ASYNC110 - it happens in a thread
                await asyncio.sleep(0.001)
        call.cancel()
        source.close()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(give_up_and_close())
    assert samples()
    looks.may_go_on.set()
    eventually(lambda: not samples())


def samples() -> int:
    """The number of open files of the kernel's samples in this process."""
    opened = 0
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            opened += "perf_event" in str(fd.readlink())
    return opened
