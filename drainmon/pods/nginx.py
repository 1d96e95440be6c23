"""Finds nginx's masters and workers by their process titles: `nginx: master process ...`, `nginx:
worker process`, also in openresty; in angie `angie: worker process #1`."""

import contextlib
import os
import re
from collections.abc import Iterable
from enum import Enum, auto

import psutil

from drainmon.pods.pod import NginxProcess, Pod
from drainmon.procfs import process

_MASTER = re.compile(r"[^ ]+: master process")
_WORKER = re.compile(r"[^ ]+: worker process(?! is shutting down)")
"""Matches neither a cache process nor a quitting worker."""

_QUITTING = re.compile(r"[^ ]+: worker process is shutting down")
_ANY = re.compile("")

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def is_quitting(nginx: NginxProcess) -> bool:
    """Whether the process is a worker that has closed its listeners and finishes its
    connections."""
    return _has_title(nginx, _QUITTING)


def is_running(nginx: NginxProcess) -> bool:
    """Whether the process has not ended. A process that is about to end has no title any more."""
    try:
        return bool(process.title(nginx.pid)) and process.start_time(nginx.pid) == nginx.started
    except OSError:
        return False


def is_master(nginx: NginxProcess) -> bool:
    """Whether the process is a master, with workers to replace. With `master_process off` there are
    none, and before nginx sets its title a signal could end it."""
    return _has_title(nginx, _MASTER)


def masters_of(pod: Pod) -> list[NginxProcess]:
    """The pod's masters with workers to replace: two during a binary upgrade, the new one a child
    of the old one."""
    return [nginx for nginx in pod.processes if is_master(nginx)]


def _has_title(nginx: NginxProcess, title: re.Pattern[str]) -> bool:
    try:
        return bool(title.match(process.title(nginx.pid)))
    except OSError:
        return False


def workers(master: NginxProcess) -> frozenset[NginxProcess]:
    """The master's workers that accept connections; none when it has ended."""
    return _children_titled(master, _WORKER)


def all_workers(pod: Pod) -> set[NginxProcess]:
    """The workers of every master of the pod, quitting ones included."""
    found = set[NginxProcess]()
    for master in masters_of(pod):
        found |= _children_titled(master, _WORKER) | _children_titled(master, _QUITTING)
    return found


def seconds_to_start(master: NginxProcess) -> float:
    """Seconds from the master's start to that of its oldest living child: the time to read its
    configuration, if none was read since. 0 without children."""
    ticks = [child.started - master.started for child in _children_titled(master, _ANY)]
    return min(ticks, default=0) / _TICKS_PER_SECOND


def _children_titled(master: NginxProcess, title: re.Pattern[str]) -> frozenset[NginxProcess]:
    found = []
    for pid in _children(master.pid):
        with contextlib.suppress(OSError):
            if title.match(process.title(pid)):
                found.append(NginxProcess(pid, master.pid, process.start_time(pid)))
    return frozenset(found)


class Work(Enum):
    """The state of nginx."""

    SERVES = auto()
    """nginx accepts connections."""
    QUITS = auto()
    """nginx only finishes its connections."""
    NONE = auto()


def work_of(masters: Iterable[NginxProcess]) -> Work:
    """The most active state of any master. A master process without workers serves itself."""
    work = Work.NONE
    for master in masters:
        if not is_master(master):
            if is_running(master):
                return Work.SERVES
            continue
        for pid in _children(master.pid):
            child = NginxProcess(pid, master.pid, 0)
            if _has_title(child, _WORKER):
                return Work.SERVES
            if _has_title(child, _QUITTING):
                work = Work.QUITS
    return work


def _children(pid: int) -> list[int]:
    try:
        return process.children(pid)
    except FileNotFoundError:  # the process has ended, or the kernel has no such list
        with contextlib.suppress(psutil.NoSuchProcess):
            return [child.pid for child in psutil.Process(pid).children()]
    except OSError:
        pass
    return []
