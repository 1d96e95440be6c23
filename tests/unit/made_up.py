"""A fake node with drains and callers, as the server sees them."""

import os
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

from drainmon.drain.policy import Policy
from drainmon.drain.report import DrainRecord
from drainmon.drain.statistics import DrainStatistics
from drainmon.model.counts import Counts
from drainmon.model.snapshot import Listener, Snapshot
from drainmon.model.tcp import TcpState
from drainmon.pods.cgroup import Owner
from drainmon.pods.discovery import owner_of
from drainmon.pods.identity import Identity
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.procfs.process import netns_inode
from tests.unit.sockets import ADDRESS, established, snapshot

OWN = netns_inode()
WEB = Identity("shop", "web-7d4b9", "1b5c81bc-6dce-4cf0-aef1-f92948380bdb")
POD = Pod(1, OWN, WEB, (NginxProcess(10, 1, 5),), frozenset({80, 443}))


class FakeNode:
    source_name = "fake"
    process_names = ("angie", "nginx")

    @property
    def refused_sources(self) -> dict[str, str]:
        return {"better": "cannot: why"}

    drift = 3

    def __init__(self) -> None:
        self.known: list[Pod] = [POD]
        self.broken = False

    def missed(self) -> dict[str, int]:
        return {"event": 1}

    def pods(self) -> list[Pod]:
        return self.known

    async def pod_of(self, netns: int, owner: Owner) -> Pod | None:
        assert owner == owner_of(os.getpid())
        return next((pod for pod in self.known if pod.netns == netns), None)

    def pod_without_nginx(self, netns: int, owner: Owner) -> Pod:
        return Pod(0, netns, Identity("shop", "idle"), (), frozenset())

    async def pod_to_drain(
        self, netns: int, owner: Owner, pid: int, ports: frozenset[int]
    ) -> Pod | None:
        assert pid == os.getpid()
        return await self.pod_of(netns, owner)

    async def counts(self, pod: Pod) -> Counts:
        return Counts({TcpState.ESTABLISHED: 2, TcpState.TIME_WAIT: 1}, 9, 1.0, 1, 4)

    async def compare(self, pod: Pod) -> Snapshot | None:
        return await self.snapshot_through(pod, os.getpid())

    async def all_counts(self) -> list[tuple[Pod, Counts]]:
        return [(pod, await self.counts(pod)) for pod in self.known]

    def departed(self) -> list[tuple[Pod, Counts]]:
        return []

    async def snapshot_through(self, pod: Pod, pid: int) -> Snapshot:
        if self.broken:
            raise OSError("cannot enter the network namespace: it is gone")
        assert pid == os.getpid()
        seen = snapshot(100.0, established(98.0))
        return Snapshot(seen.taken, seen.finished, seen.sockets, (Listener(ADDRESS, 80, 1, 511),))


class FakeDrains:
    running = 0

    def __init__(self) -> None:
        self.statistics = DrainStatistics()
        self.asked: list[tuple[str, int, Policy]] = []
        self.closed = 0
        self.gone = False
        self.known = [DrainRecord("web", OWN, 1e9, result="drained")]

    def records(self) -> Iterator[DrainRecord]:
        return iter(self.known)

    async def drain(
        self, pod: Pod, pid: int, policy: Policy, verify: Callable[[], None]
    ) -> AsyncGenerator[dict[str, Any], None]:
        self.asked.append((pod.label, pid, policy))
        if self.gone:
            raise ProcessLookupError("cannot reach the pod: pid 1 is another process now")
        try:
            yield {"phase": "settling"}
            yield {"phase": "drained", "result": "drained"}
        finally:
            self.closed += 1


class FakeUcred:
    """Credentials as the kernel reports them for another user, or for a hidden process."""

    size = 12

    def __init__(self, pid: int, uid: int) -> None:
        self.credentials = (pid, uid, uid)

    def unpack(self, _: bytes) -> tuple[int, int, int]:
        return self.credentials
