"""The ends of processes, noticed at once: Popen.wait(timeout) sleeps up to 50 ms too long.

Deadlines are time.monotonic() seconds.
"""

import os
import select
import signal
import subprocess
import time
from contextlib import suppress


def send_signal(pidfd: int, number: signal.Signals) -> None:
    """Send a signal; does nothing to a process that has ended."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)


def ends(pidfd: int, deadline: float) -> bool:
    """Whether the process of a pidfd ends before the deadline."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))


def child_ends(process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Whether a child that has not been reaped ends before the deadline."""
    pidfd = os.pidfd_open(process.pid)
    try:
        return ends(pidfd, deadline)
    finally:
        os.close(pidfd)


def end(process: subprocess.Popen[bytes], deadline: float) -> None:
    """Let the process end by itself until the deadline, then kill it."""
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is None and not child_ends(process, deadline):
        process.kill()
    process.wait()
