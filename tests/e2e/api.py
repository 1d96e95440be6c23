"""What the daemon's socket answers to root of the host."""

from pathlib import Path
from typing import Any

from bench.rig.pod import FakePod
from drainmon.cli.client import get


def pod_in(path: Path, netns: int) -> dict[str, Any]:
    """The pod of a namespace; empty when there is none."""
    pods: list[dict[str, Any]] = get(path, "/v1/pods")["pods"]
    return next((pod for pod in pods if pod["netns"] == netns), {})


def records_of(path: Path, pod: FakePod) -> list[dict[str, Any]]:
    drains = get(path, "/v1/drains")["drains"]
    return [d for d in drains if d["netns"] == pod.netns.inode and d["started"] > pod.began]


def record_of(path: Path, pod: FakePod) -> dict[str, Any]:
    """The latest drain of the pod; empty when there is none yet."""
    return next(iter(records_of(path, pod)), {})
