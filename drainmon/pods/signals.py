"""Sends signals to exactly one process, and only while it belongs to the pod."""

import errno
import os
import signal

from drainmon.pods.discovery import owner_of
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.procfs import process


def send(nginx: NginxProcess, number: signal.Signals, pod: Pod) -> None:
    """Signal a process of the pod, never another one that has its pid by now.

    Raises ProcessLookupError when it has ended, PermissionError when the signal is not allowed or
    the process is not of this pod: a process of another pod may be in the pod's namespace.
    """
    pidfd = _hold(nginx.pid)
    try:
        # Read while the pidfd holds the process: its pid cannot be reused any more.
        try:
            started = process.start_time(nginx.pid)
            same_pod = _is_of(nginx.pid, pod)
        except FileNotFoundError as error:
            raise ProcessLookupError(f"cannot signal pid {nginx.pid}: it has ended") from error
        if started != nginx.started:
            raise ProcessLookupError(f"cannot signal pid {nginx.pid}: it is another process now")
        if not same_pod:
            raise PermissionError(f"cannot signal pid {nginx.pid}: it is not of pod {pod.label}")
        if pidfd is None:
            os.kill(nginx.pid, number)
        else:
            signal.pidfd_send_signal(pidfd, number)
    finally:
        if pidfd is not None:
            os.close(pidfd)


def _hold(pid: int) -> int | None:
    """A pidfd; None on kernels before 5.3, and with a seccomp profile that lacks the call."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        return None


def _is_of(pid: int, pod: Pod) -> bool:
    owner = owner_of(pid)
    if process.netns_inode(pid) != pod.netns or (pod.group and owner.root != pod.group):
        return False
    return not pod.identity.uid or owner.pod_uid == pod.identity.uid
