"""nginx's workers as they are now."""

import contextlib

import psutil

from drainmon.pods.pod import NginxProcess
from drainmon.procfs import process

WORKER = "nginx: worker process"
"""How a worker's title begins, also one that is shutting down; not so a cache process's, nor that
of a new master during an upgrade of the binary. openresty and angie keep it."""


def workers(master: NginxProcess) -> tuple[NginxProcess, ...]:
    """The master's workers; none when it has ended."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(master.pid).children():
            with contextlib.suppress(OSError):
                if process.title(child.pid).startswith(WORKER):
                    started = process.start_time(child.pid)
                    found.append(NginxProcess(child.pid, master.pid, started))
    return tuple(found)
