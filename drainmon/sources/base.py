"""The interface of a source: counters, snapshots and wake-ups, from whatever the host provides."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from drainmon.model.counts import Counts
from drainmon.model.ignored import Ignored
from drainmon.model.snapshot import Snapshot
from drainmon.pods.pod import Pod
from drainmon.turns import in_turns

PROBE_PROCESSES = (
    "kubelet",
    "k3s-server",
    "k3s-agent",
    "k3s",
    "kubelite",  # MicroK8s
    "k0s",
    "hyperkube",
)
"""Default names of host processes whose connections are probes: the kubelet, and the processes that
it is a part of in some distributions."""


class Listeners(Protocol):
    """The callbacks of a source, called in the event loop."""

    def listening(self) -> None:
        """Called when a process with one of the names began to listen."""

    def changed(self, pod: int) -> None:
        """Called when a watched port of the pod with this number changed."""


@dataclass
class Place:
    """A network namespace held open for one source, reachable after its last process has ended.
    `netns` is its inode, read from an open file: no other namespace has it meanwhile. Close it."""

    files: tuple[int, ...]
    netns: int

    def close(self) -> None:
        for fd in self.files:
            os.close(fd)


class Source(Protocol):
    """Counters of listen ports (cheap), snapshots of one pod (exact), and wake-ups. Counts are of
    accepted connections. Methods raise OSError "cannot X: why": FileNotFoundError or
    ProcessLookupError when the pod has ended, any other when the source no longer works."""

    name: str

    @property
    def look_interval(self) -> float:
        """Seconds between two snapshots of a draining pod, when nothing wakes it."""

    longest_pause: float
    """Most seconds between two snapshots, however long one takes."""

    announces: bool
    """Whether the source announces new listeners; otherwise scans find new pods."""

    async def start(self) -> None:
        """Attach to the kernel; nothing is counted yet."""

    def open(self, pid: int) -> Place:
        """The namespace of a process."""

    async def counters(self, pod: Pod) -> Counts:
        """The sum over the pod's counted ports."""

    async def all_counters(self, pods: list[Pod]) -> dict[int, Counts]:
        """The same of many pods, by pod number; pods that have ended are left out."""

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        """The sockets on the pod's ports."""

    def follow(self, pods: list[Pod]) -> None:
        """Count on the ports of these pods, the node's, and free everything kept of others.
        Existing connections are in no counter."""

    def watch_listeners(self) -> None:
        """Call `listening` once when a process with one of the names next begins to listen; call
        this again after that. Does nothing in sources that do not announce listeners."""

    def watch(self, pod: Pod) -> None:
        """Call `changed` once at the next change on any of the pod's ports; call this again after
        that. Does nothing in sources that find changes by looking."""

    def unwatch(self, pod: Pod) -> None:
        """Stop calling `changed` for the pod."""

    def ignore(self, pod: Pod, ignored: Ignored) -> None:
        """Stop counting connections of these peers and on these ports as arrivals, and count all
        others. Connections that the source cannot classify count as arrivals."""

    def missed(self) -> dict[str, int]:
        """Events and entries missed since the source started, by place."""

    def close(self) -> None:
        """Detach from the kernel."""


async def one_by_one(source: Source, pods: list[Pod]) -> dict[int, Counts]:
    """`all_counters` for sources that read pod by pod."""
    counted = {}
    async for some in in_turns(pods):
        for pod in some:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                counted[pod.number] = await source.counters(pod)
    return counted


MakeSource = Callable[[Listeners], Source]
"""Makes a source inside a running event loop. Raises OSError when the host cannot run it."""
