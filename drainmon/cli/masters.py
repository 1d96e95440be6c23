"""The nginx master of a drain whose record only names a network namespace."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from drainmon.procfs import process

Drain = dict[str, Any]


def started(pid: int) -> float:
    """When a process of this host started (Unix seconds); now when it has ended."""
    now = time.time()
    with contextlib.suppress(OSError):
        age = time.clock_gettime(time.CLOCK_BOOTTIME)
        age -= process.start_time(pid) / os.sysconf("SC_CLK_TCK")
        return now - age
    return now


def with_masters(
    drains: Iterable[Drain],
    pods: Iterable[Mapping[str, Any]],
    since: Callable[[int], float] = started,
) -> list[Drain]:
    """The drains, with the `masters` of pods that already ran when the drain began: a namespace's
    inode is soon reused for another pod."""
    masters = {pod["pod"]: pod["masters"] for pod in pods if pod.get("masters")}
    ages = {label: since(pids[0]) for label, pids in masters.items()}
    return [
        drain | {"masters": masters[drain["pod"]]}
        if ages.get(drain["pod"], drain["started"]) < drain["started"]
        else drain
        for drain in drains
    ]
