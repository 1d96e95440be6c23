"""Signals reach the intended process, and never a process outside the pod."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from drainmon.pods import signals
from drainmon.pods.cgroup import Owner
from drainmon.pods.identity import Identity
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.pods.signals import send
from drainmon.procfs import process
from tests.waiting import eventually

POD = Pod(1, process.netns_inode(), Identity(uid="uid-a"), (), frozenset())
A, SIDECAR = Owner("uid-a", "id-1", root="/kubepods/poda"), Owner("uid-a", "id-2", root="/poda")
B, NOBODY = Owner("uid-b", "id-b", root="/kubepods/podb"), Owner()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        yield child
        child.kill()


def test_signals_reach_the_intended_process_only(child: subprocess.Popen[bytes]) -> None:
    pod = replace(POD, identity=Identity())
    nginx = NginxProcess(child.pid, 1, process.start_time(child.pid))
    with pytest.raises(ProcessLookupError, match="it is another process now"):
        send(replace(nginx, started=nginx.started - 1), signal.SIGKILL, pod)
    assert child.poll() is None
    send(nginx, signal.SIGKILL, pod)
    eventually(lambda: child.poll() == -signal.SIGKILL)
    with pytest.raises(ProcessLookupError):
        send(nginx, signal.SIGKILL, pod)


@pytest.mark.parametrize(
    ("pod", "owner"),
    [
        (replace(POD, netns=1), A),
        (POD, B),
        (POD, NOBODY),
        (replace(POD, group=A.root), B),
        (replace(POD, group=A.root, identity=Identity()), NOBODY),
    ],
    ids=["another netns", "another pod", "no pod", "another pod of the host's netns", "the host's"],
)
def test_a_process_outside_the_pod_is_not_signalled(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, pod: Pod, owner: Owner
) -> None:
    monkeypatch.setattr(signals, "owner_of", lambda _: owner)
    nginx = NginxProcess(child.pid, 1, process.start_time(child.pid))
    with pytest.raises(PermissionError, match=f"cannot signal pid {child.pid}: it is not of pod"):
        send(nginx, signal.SIGKILL, pod)
    assert child.poll() is None


@pytest.mark.parametrize("owner", [A, SIDECAR])
def test_a_process_in_any_container_of_the_pod_is_signalled(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, owner: Owner
) -> None:
    monkeypatch.setattr(signals, "owner_of", lambda _: owner)
    send(NginxProcess(child.pid, 1, process.start_time(child.pid)), signal.SIGKILL, POD)
    eventually(lambda: child.poll() == -signal.SIGKILL)


@pytest.mark.parametrize("refusal", [errno.ENOSYS, errno.EPERM])
def test_signals_work_without_pidfds(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    def refuse(pid: int) -> int:
        raise OSError(refusal, "refused")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    pod = replace(POD, identity=Identity())
    nginx = NginxProcess(child.pid, 1, process.start_time(child.pid))
    with pytest.raises(ProcessLookupError, match="it is another process now"):
        send(replace(nginx, started=nginx.started - 1), signal.SIGKILL, pod)
    send(nginx, signal.SIGKILL, pod)
    eventually(lambda: child.poll() == -signal.SIGKILL)
