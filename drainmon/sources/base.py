"""The interface of a source: where counts come from, whatever the host has."""

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
"""Names of the processes of the host whose connections are probes, unless others are asked for: the
kubelet, and what it is a part of in distributions that have one process for all."""


class Listeners(Protocol):
    """Whom a source tells; called in the event loop."""

    def listening(self) -> None:
        """A process with one of the names began to listen."""

    def changed(self, pod: int) -> None:
        """Something changed on a watched port of the pod with this number."""


@dataclass
class Place:
    """A network namespace held open for one source: it stays in reach when its last process has
    ended. `netns` is its inode, found from what is held: no other namespace has it meanwhile.
    Close it."""

    files: tuple[int, ...]
    netns: int

    def close(self) -> None:
        for fd in self.files:
            os.close(fd)


class Source(Protocol):
    """Counters of listening ports (cheap), snapshots of one pod (exact), and wake-ups. Counts are
    of accepted connections. Methods raise OSError "cannot X: why": for a pod that is gone
    FileNotFoundError or ProcessLookupError, otherwise because the source no longer works."""

    name: str

    @property
    def look_interval(self) -> float:
        """Seconds between two looks at a pod that is being drained, when nothing wakes it."""

    longest_pause: float
    """Seconds between two looks at the most, however long a look takes."""

    announces: bool
    """Whether new listeners are told; where not, new pods are found by looking."""

    async def start(self) -> None:
        """Begin to see what happens; nothing is counted yet."""

    def open(self, pid: int) -> Place:
        """The namespace of a process."""

    async def counters(self, pod: Pod) -> Counts:
        """The sum over the pod's ports, as far as they are counted."""

    async def all_counters(self, pods: list[Pod]) -> dict[int, Counts]:
        """The same of many pods, by their numbers; those that are gone are left out."""

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        """The sockets on the pod's ports."""

    def follow(self, pods: list[Pod]) -> None:
        """These are the node's pods: count on their ports, free what is kept of any other. What was
        there before is in no counter."""

    def watch_listeners(self) -> None:
        """Call `listening` once when next a process with one of the names begins to listen; again
        after each call. Does nothing where new listeners are found by looking."""

    def watch(self, pod: Pod) -> None:
        """Call `changed` once at the next change on any of the pod's ports; again after each
        call. Does nothing where changes are found by looking."""

    def unwatch(self, pod: Pod) -> None:
        """No more `changed` for the pod."""

    def ignore(self, pod: Pod, ignored: Ignored) -> None:
        """From now on connections by these peers and on these ports do not count as arrivals, all
        others do. Where the source cannot tell, they count."""

    def missed(self) -> dict[str, int]:
        """How often an event or an entry was missed since the source began, by place."""

    def close(self) -> None:
        """Detach from the kernel."""


async def one_by_one(source: Source, pods: list[Pod]) -> dict[int, Counts]:
    """`all_counters` of a source that has no better way."""
    counted = {}
    async for some in in_turns(pods):
        for pod in some:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                counted[pod.number] = await source.counters(pod)
    return counted


MakeSource = Callable[[Listeners], Source]
"""Makes a source inside the running event loop. Raises OSError when the host cannot run it."""
