"""Signals to exactly the process that was meant."""

import os
import signal

from drainmon.pods.pod import NginxProcess
from drainmon.procfs import process


def send(nginx: NginxProcess, number: signal.Signals) -> None:
    """Signal the process, never another that has its pid by now.

    Raises ProcessLookupError when it has ended, PermissionError when the signal is not allowed.
    """
    pidfd = os.pidfd_open(nginx.pid)
    try:
        # Read while the pidfd pins the process: the numbers cannot change hands any more.
        try:
            started = process.start_time(nginx.pid)
        except FileNotFoundError as error:
            raise ProcessLookupError(f"cannot signal pid {nginx.pid}: it has ended") from error
        if started != nginx.started:
            raise ProcessLookupError(f"cannot signal pid {nginx.pid}: it is another process now")
        signal.pidfd_send_signal(pidfd, number)
    finally:
        os.close(pidfd)
