"""The daemon's answers to root of the host.

A dead namespace's inode is soon reused, and the daemon still reports the dead one's pod and drains:
these functions never take them for the test's own namespace.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.rig.netns import Netns
from bench.rig.pod import FakePod
from drainmon.cli.client import get
from drainmon.procfs.process import netns_inode

Answer = dict[str, Any]


def pod_in(path: Path, netns: int) -> Answer:
    """The pod of a live namespace; empty when there is none."""
    return pod_among(get(path, "/v1/pods")["pods"], netns)


def pod_among(pods: Iterable[Answer], netns: int) -> Answer:
    here = (pod for pod in pods if pod["netns"] == netns)
    return next((pod for pod in here if all(_is_in(netns, pid) for pid in pod["masters"])), {})


def _is_in(netns: int, pid: int) -> bool:
    with suppress(OSError):  # the process has ended
        return netns_inode(pid) == netns
    return False


def record_in(path: Path, namespace: Netns) -> Answer:
    """The latest drain in the namespace; empty when there is none yet."""
    return next(iter(records_among(get(path, "/v1/drains")["drains"], namespace)), {})


def records_among(drains: Iterable[Answer], namespace: Netns) -> list[Answer]:
    """The drains of the namespace, the latest first as received."""
    return [
        drain
        for drain in drains
        if drain["netns"] == namespace.inode and drain["started"] > namespace.began
    ]


def record_of(path: Path, pod: FakePod) -> Answer:
    """The latest drain of the pod; empty when there is none yet."""
    return record_in(path, pod.netns)
