"""What the server needs of the daemon: the node and its drains to read, and, for callers, their own
pods."""

from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Protocol

from drainmon.drain.policy import Policy
from drainmon.drain.report import DrainRecord
from drainmon.model.counts import Counts
from drainmon.model.snapshot import Snapshot
from drainmon.pods.cgroup import Owner
from drainmon.pods.pod import Pod


class Node(Protocol):
    """The node's pods, their counts and connections, and the health of the source."""

    @property
    def source_name(self) -> str: ...

    @property
    def refused_sources(self) -> dict[str, str]: ...

    @property
    def process_names(self) -> tuple[str, ...]: ...

    @property
    def drift(self) -> int: ...

    def missed(self) -> dict[str, int]: ...

    def pods(self) -> list[Pod]: ...

    async def counts(self, pod: Pod) -> Counts: ...

    async def all_counts(self) -> list[tuple[Pod, Counts]]: ...

    async def compare(self, pod: Pod) -> Snapshot | None: ...


class DrainRecords(Protocol):
    """The records of the node's drains."""

    def records(self) -> Iterable[DrainRecord]: ...


class Metrics(Protocol):
    """The metrics for Prometheus."""

    async def text(self) -> bytes: ...


class CallersNode(Node, Protocol):
    """The node, and the pods of callers."""

    async def pod_of(self, netns: int, owner: Owner) -> Pod | None: ...

    def pod_without_nginx(self, netns: int, owner: Owner) -> Pod: ...

    async def pod_to_drain(
        self, netns: int, owner: Owner, pid: int, ports: frozenset[int]
    ) -> Pod | None: ...

    async def snapshot_through(self, pod: Pod, pid: int) -> Snapshot: ...


class Drains(DrainRecords, Protocol):
    """The node's drains, and new ones for callers."""

    def drain(
        self, pod: Pod, pid: int, policy: Policy, verify: Callable[[], None]
    ) -> AsyncGenerator[dict[str, Any], None]: ...
