"""nginx's master and workers as they are now, by the titles they give themselves: `nginx: master
process ...`, `nginx: worker process`, in openresty, too; in angie `angie: worker process #1`."""

import contextlib
import re

import psutil

from drainmon.pods.pod import NginxProcess
from drainmon.procfs import process

_MASTER = re.compile(r"[^ ]+: master process")
_WORKER = re.compile(r"[^ ]+: worker process(?! is shutting down)")
"""Not a cache process, nor a worker that has closed its listeners and finishes what it has."""


def is_running(nginx: NginxProcess) -> bool:
    """Whether it has not ended. One that is about to end has no title any more."""
    try:
        return bool(process.title(nginx.pid)) and process.start_time(nginx.pid) == nginx.started
    except OSError:
        return False


def is_master(nginx: NginxProcess) -> bool:
    """Whether it has workers to replace: with `master_process off` it has none, and before it has
    given itself a title a signal could end it."""
    try:
        return bool(_MASTER.match(process.title(nginx.pid)))
    except OSError:
        return False


def workers(master: NginxProcess) -> tuple[NginxProcess, ...]:
    """The master's workers that accept connections; none when it has ended."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(master.pid).children():
            with contextlib.suppress(OSError):
                if _WORKER.match(process.title(child.pid)):
                    started = process.start_time(child.pid)
                    found.append(NginxProcess(child.pid, master.pid, started))
    return tuple(found)
