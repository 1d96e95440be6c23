"""Closing source bcc during calls: nothing is left, and the next source loads."""

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
    empty_reports,
    own_pod,
    own_port,
    soon,
    started,
)
from tests.kernel.pair import Pair
from tests.kernel.sourced import Reports, open_files

pytestmark = pytest.mark.root


class SlowLook:
    """Makes the first look wait until it may continue."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.may_go_on = threading.Event(), threading.Event()
        look = Watcher.look

        def slow_look(watcher: Watcher, pod: Pod, place: PodNet) -> Snapshot:
            self.begun.set()
            assert self.may_go_on.wait(10)
            return look(watcher, pod, place)

        monkeypatch.setattr(Watcher, "look", slow_look)


async def test_closing_during_a_call_releases_everything(
    reports: Reports, pair: Pair, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, programs = open_files(), attached()
    source, look = await started(reports), SlowLook(monkeypatch)
    source.watch(pod)
    place = source.open(pod.processes[0].pid)
    call = asyncio.create_task(source.snapshot(pod, place))
    await soon(look.begun.is_set)
    source.close()
    assert attached() == programs + 1
    with pytest.raises(OSError, match="the source is closed"):
        await source.counters(pod)
    look.may_go_on.set()
    with contextlib.suppress(OSError):  # the counts after its look belong to another look
        await call
    place.close()
    await soon(lambda: (open_files(), attached()) == (files, programs))


async def test_closing_during_a_cancelled_call_releases_everything(
    reports: Reports, pair: Pair, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, programs = open_files(), attached()
    source, look = await started(reports), SlowLook(monkeypatch)
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


async def test_programs_loaded_after_a_cancelled_start_are_closed(
    reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    (await started(reports)).close()
    files, programs = open_files(), attached()
    begun, loaded = threading.Event(), threading.Event()

    def load(*how: Any) -> BccConntrack:
        begun.set()
        conntrack = BccConntrack(*how)
        loaded.set()
        return conntrack

    monkeypatch.setattr(bcc, "BccConntrack", load)
    source = BccSource(reports, NAMES)
    start = asyncio.create_task(source.start())
    await soon(begun.is_set)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    source.close()
    await soon(loaded.is_set)
    await soon(lambda: (open_files(), attached()) == (files, programs))


async def test_closing_leaves_no_files_programs_or_variables(reports: Reports, pod: Pod) -> None:
    (await started(reports)).close()  # the first one leaves some things behind once
    before, programs, home = open_files(), attached(), Path.cwd()
    for _ in range(3):
        source = await started(reports)
        assert attached() == programs + 1
        source.watch(pod)
        source.close()
    assert (open_files(), attached(), Path.cwd()) == (before, programs, home)
    assert bcc_headers.VARIABLE not in os.environ


@pytest.mark.core
async def test_another_source_loads_after_bcc(reports: Reports) -> None:
    """The compiler and the daemon use the same libbpf."""
    for _ in range(2):
        (await started(reports)).close()
        Conntrack(lambda *_: None).close()


def attached() -> int:
    """The number of BPF programs that this process holds: a program ends with its holder."""
    held = Path("/proc/self/fd").iterdir()
    return sum("bpf-prog" in str(fd.readlink()) for fd in held if fd.is_symlink())
