"""Source bcc closed, whoever still asks it: nothing is left, and the next one loads."""

import asyncio
import contextlib
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from drainmon.kernel import bcc_headers
from drainmon.kernel.bcc_conntrack import BccConntrack
from drainmon.kernel.conntrack import Conntrack
from drainmon.model.snapshot import Snapshot
from drainmon.pods.pod import Pod
from drainmon.sources import bcc
from drainmon.sources.bcc import BccSource
from drainmon.sources.pod_net import PodNet
from drainmon.sources.watcher import Watcher
from tests.kernel.bcc_source import (  # noqa: F401 - fixtures
    NAMES,
    own_pod,
    own_port,
    soon,
    started,
    told_nothing,
)
from tests.kernel.pair import Pair
from tests.kernel.sourced import Told, open_files

pytestmark = pytest.mark.root


class SlowLook:
    """The first look waits until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.may_go_on = threading.Event(), threading.Event()
        look = Watcher.look

        def slow_look(watcher: Watcher, pod: Pod, place: PodNet) -> Snapshot:
            self.begun.set()
            assert self.may_go_on.wait(10)
            return look(watcher, pod, place)

        monkeypatch.setattr(Watcher, "look", slow_look)


async def test_it_is_closed_behind_a_call_that_still_asks_it(
    told: Told, pair: Pair, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, programs = open_files(), attached()
    source, look = await started(told), SlowLook(monkeypatch)
    source.watch(pod)
    place = source.open(pod.processes[0].pid)
    call = asyncio.create_task(source.snapshot(pod, place))
    await soon(look.begun.is_set)
    source.close()
    assert attached() == programs + 1
    with pytest.raises(OSError, match="the source is closed"):
        await source.counters(pod)
    look.may_go_on.set()
    with contextlib.suppress(OSError):  # the counts behind its look are another look's
        await call
    place.close()
    await soon(lambda: (open_files(), attached()) == (files, programs))


async def test_it_is_closed_behind_a_call_that_is_cancelled(
    told: Told, pair: Pair, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, programs = open_files(), attached()
    source, look = await started(told), SlowLook(monkeypatch)
    place = source.open(pod.processes[0].pid)
    call = asyncio.create_task(source.snapshot(pod, place))
    await soon(look.begun.is_set)
    call.cancel()
    source.close()
    place.close()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert attached() == programs
    look.may_go_on.set()
    await soon(lambda: open_files() == files)


async def test_what_is_loaded_when_nobody_waits_any_more_is_closed(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    (await started(told)).close()
    files, programs = open_files(), attached()
    begun, loaded = threading.Event(), threading.Event()

    def load(*how: Any) -> BccConntrack:
        begun.set()
        conntrack = BccConntrack(*how)
        loaded.set()
        return conntrack

    monkeypatch.setattr(bcc, "BccConntrack", load)
    source = BccSource(told, NAMES)
    start = asyncio.create_task(source.start())
    await soon(begun.is_set)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    source.close()
    await soon(loaded.is_set)
    await soon(lambda: (open_files(), attached()) == (files, programs))


async def test_nothing_is_left_behind(told: Told, pod: Pod) -> None:
    (await started(told)).close()  # what the first one leaves, it leaves once
    before, programs, home = open_files(), attached(), Path.cwd()
    for _ in range(3):
        source = await started(told)
        assert attached() == programs + 1
        source.watch(pod)
        source.close()
    assert (open_files(), attached(), Path.cwd()) == (before, programs, home)
    assert bcc_headers.VARIABLE not in os.environ


async def test_the_next_source_loads_beside_it(told: Told) -> None:
    """The compiler and the daemon use the same libbpf."""
    for _ in range(2):
        (await started(told)).close()
        Conntrack(lambda *_: None).close()


def attached() -> int:
    """How many BPF programs this process holds: without a holder there is none."""
    held = Path("/proc/self/fd").iterdir()
    return sum("bpf-prog" in str(fd.readlink()) for fd in held if fd.is_symlink())
