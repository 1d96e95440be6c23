"""The node: its pods and their counts, from the source through the ledger."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine

from drainmon.model.ledger import Counts, Ledger
from drainmon.model.snapshot import Snapshot
from drainmon.pods.discovery import Registry, open_namespaces
from drainmon.pods.pod import Pod
from drainmon.procfs import process
from drainmon.sources.base import Listeners, Source

log = logging.getLogger(__name__)

SCAN_PAUSE = 0.2
"""Seconds from a new listener to the scan for its process: many come at once."""

Spawn = Callable[[Coroutine[None, None, None]], asyncio.Task[None]]
"""Starts a task that the daemon owns."""


class Node:
    """What the daemon knows of the node. Made inside a running event loop."""

    def __init__(
        self,
        registry: Registry,
        make_source: Callable[[Listeners], Source],
        spawn: Spawn,
    ) -> None:
        self.registry = registry
        self._spawn = spawn
        self._ledger = Ledger()
        self._scan_planned = False
        self._scanning = asyncio.Lock()
        self._on_change: dict[int, Callable[[], None]] = {}
        self._watched: dict[int, frozenset[int]] = {}
        self._source = make_source(self)

    @property
    def source_name(self) -> str:
        return self._source.name

    async def start(self) -> None:
        """Find the connections and the pods that exist already."""
        await self._source.seed(open_namespaces)
        await self.scan()

    def close(self) -> None:
        """Let go of the kernel."""
        self._source.close()

    async def scan(self) -> None:
        """Look for nginx on the whole node."""
        async with self._scanning:
            await asyncio.to_thread(self.registry.scan)

    def listening(self, netns: int, port: int) -> None:
        """From the source: somebody began to listen; it may be nginx."""
        if not self._scan_planned:
            self._scan_planned = True
            self._spawn(self._scan_soon())

    async def _scan_soon(self) -> None:
        await asyncio.sleep(SCAN_PAUSE)
        self._scan_planned = False
        await self.scan()

    def changed(self, netns: int) -> None:
        """From the source: something changed on a watched port."""
        if callback := self._on_change.get(netns):
            callback()

    def pods(self) -> list[Pod]:
        """Every pod, by label."""
        return self.registry.pods()

    async def pod_of(self, netns: int) -> Pod | None:
        """The pod of a network namespace, looked for again when it is not known."""
        if self.registry.get(netns) is None:
            await self.scan()
        return self.registry.get(netns)

    def counts(self, pod: Pod) -> Counts:
        """What the counters say of a pod, corrected."""
        self._ledger.update(pod.netns, self._source.counters(pod.netns, pod.ports))
        return self._ledger.counts(pod.netns)

    async def snapshot(self, pod: Pod, netns_fd: int) -> Snapshot:
        """The sockets of the pod whose namespace is open as netns_fd; corrects the ledger."""
        before = self._source.counters(pod.netns, pod.ports)
        snapshot = await self._source.snapshot(netns_fd, pod.ports)
        after = self._source.counters(pod.netns, pod.ports)
        if drift := self._ledger.rebase(pod.netns, before, snapshot, after):
            log.debug("counters corrected", extra={"pod": pod.label, "drift": drift})
        return snapshot

    async def snapshot_through(self, pod: Pod, pid: int) -> Snapshot:
        """The same, through the namespace of one of the pod's processes. Raises OSError."""
        fd = process.open_netns(pid)
        try:
            return await self.snapshot(pod, fd)
        finally:
            os.close(fd)

    def watch(self, pod: Pod, callback: Callable[[], None]) -> None:
        """Call back once at the pod's next change; again after each call."""
        self._on_change[pod.netns] = callback
        self._watched[pod.netns] = pod.ports
        self._source.watch(pod.netns, pod.ports)

    def unwatch(self, pod: Pod) -> None:
        """No more call-backs."""
        self._on_change.pop(pod.netns, None)
        self._source.unwatch(pod.netns, self._watched.pop(pod.netns, frozenset()))
