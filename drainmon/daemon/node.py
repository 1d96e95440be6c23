"""The node: its pods, and their counts from the source through the ledger."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping

from drainmon.daemon.adoption import pod_in, pod_with_ports
from drainmon.daemon.polls import Polls
from drainmon.daemon.scans import Scans, Spawn
from drainmon.drain.machine import Drain
from drainmon.model.counts import Counts
from drainmon.model.departures import Departures
from drainmon.model.ignored import Ignored
from drainmon.model.ledger import Key, Ledger
from drainmon.model.snapshot import Snapshot, format_states
from drainmon.pods.cgroup import Owner
from drainmon.pods.held import Held, look_at
from drainmon.pods.pod import Pod
from drainmon.pods.registry import Registry
from drainmon.sources.base import MakeSource, Place
from drainmon.sources.choice import MAKERS
from drainmon.sources.switching import SwitchingSource

log = logging.getLogger(__name__)

LOOK_TWICE = 0.02
"""Seconds until suspect counters are compared again."""

QUIET_TRIES = 4
"""Further snapshots of a pod whose connections changed during the first."""


class Node:
    """The daemon's state of the node. Made inside a running event loop."""

    def __init__(
        self,
        registry: Registry,
        sources: list[str],
        spawn: Spawn,
        make: Mapping[str, MakeSource] = MAKERS,
    ) -> None:
        self.registry = registry
        self._source = SwitchingSource(sources, self, make)
        self._scans = Scans(registry, spawn, self._source.watch_listeners, self._scanned)
        self._spawn = spawn
        self._ledger = Ledger()
        self._departures = Departures()
        self._polls = Polls(self._count_all)
        self._on_change: dict[int, Callable[[], None]] = {}
        self.drift = 0
        self._generation = 0
        self._compared = asyncio.Event()
        """Set when each pod has been compared once since the last new ones were found."""
        self._compared.set()
        self.after_scan: Callable[[], None] = lambda: None
        self._known: set[Key] = set()
        """The pods and ports whose counters have been compared once, or are about to be."""

    @property
    def source_name(self) -> str:
        return self._source.name

    @property
    def refused_sources(self) -> dict[str, str]:
        """Why each better source is not in use."""
        return self._source.refused

    @property
    def process_names(self) -> tuple[str, ...]:
        """The process names of nginx, sorted."""
        return self.registry.names

    @property
    def counts_by_looking(self) -> bool:
        """Whether the source has no counters of its own that could be wrong."""
        return not self._source.announces

    def set_pace(self, drain: Drain) -> None:
        """Set how often the source in use looks at a draining pod."""
        drain.look_interval = self._source.look_interval
        drain.longest_pause = self._source.longest_pause

    async def start(self) -> None:
        """Start the source, and find existing pods and connections."""
        await self._source.start()
        await self.scan()
        await self._compared.wait()

    def close(self) -> None:
        """Release the kernel's resources."""
        self._source.close()

    async def scan(self) -> None:
        """Look for nginx on the whole node, in a scan that begins now or later."""
        await self._scans.scan()

    async def _scanned(self, gone: list[Pod]) -> None:
        for pod in gone:
            self._departures.record(pod, await self._last_counts(pod), time.monotonic())
        self._follow()
        self._ledger.keep_only({pod.counted_by for pod in self.pods()})
        self.after_scan()

    def _follow(self) -> None:
        """Have the source count on the pods' ports, and compare each new pod with a snapshot."""
        pods = self.pods()
        self._source.follow(pods)
        known, self._known = self._known, {pod.counted_by for pod in pods}
        new = [pod for pod in pods if pod.counted_by not in known]
        if new and not self.counts_by_looking:
            self._compared.clear()
            self._spawn(self._compare_first(new))

    async def _compare_first(self, pods: list[Pod]) -> None:
        await self._compare_all(pods)
        self._compared.set()
        for _ in range(QUIET_TRIES):
            await self._compare_all([pod for pod in pods if self._ledger.unsure(pod.counted_by)])

    async def _compare_all(self, pods: list[Pod]) -> None:
        for pod in pods:
            with contextlib.suppress(OSError):  # its turn in the slow round will come
                await self.compare(pod)

    def is_compared(self, pod: Pod) -> bool:
        """Whether a snapshot has shown the connections that are older than the counters."""
        return self._ledger.knows(pod.counted_by)

    async def _last_counts(self, pod: Pod) -> Counts:
        """The last counts of a departed pod. The source may have newer ones, unless another pod has
        the namespace's inode by now."""
        last = self._ledger.counts(pod.counted_by)
        if self.registry.get(pod.key) is None:
            with contextlib.suppress(OSError):
                return max(last, await self.counts(pod), key=lambda counts: counts.accepted)
        return last

    async def find_new_pods(self) -> None:
        """Scan where the source does not announce listeners, within its share of CPU time."""
        if not self._source.announces:
            await self._scans.scan_now_and_then()

    async def retry_sources(self) -> None:
        """Return to a better source when it works again, until cancelled."""
        await self._source.retry()

    async def drop_dead_pods(self) -> None:
        """Scan again if a pod has ended."""
        if self.registry.outdated():
            await self.scan()

    def missed(self) -> dict[str, int]:
        """Events and entries that the source missed, by place."""
        return self._source.missed()

    def listening(self) -> None:
        """Called by the source: a process with nginx's name began to listen."""
        self._scans.plan()

    def changed(self, pod: int) -> None:
        """Called by the source: a watched port of the pod with this number changed."""
        if callback := self._on_change.get(pod):
            callback()

    def pods(self) -> list[Pod]:
        """Every pod, by label."""
        return self.registry.pods()

    async def pod_of(self, netns: int, owner: Owner) -> Pod | None:
        """The pod of a process, after a scan if it is not known. Raises ValueError where it is
        ambiguous (`Registry.find`)."""
        if self.registry.find(netns, owner) is None:
            await self.scan()
        return self.registry.find(netns, owner)

    def pod_without_nginx(self, netns: int, owner: Owner) -> Pod:
        """A pod without nginx for a process, to show its name."""
        return self.registry.without_nginx(netns, owner)

    async def pod_to_drain(
        self, netns: int, owner: Owner, pid: int, ports: frozenset[int] = frozenset()
    ) -> Pod | None:
        """The present pod of the process `pid`, with the ports that its client knows: an earlier
        daemon may have seen their listeners. In the host's namespace they are left out."""
        await self.scan()
        pod = await pod_with_ports(self.registry, netns, owner, pid, ports)
        self._follow()
        return pod

    async def pod_in(self, netns: int) -> tuple[Pod, int]:
        """`adoption.pod_in`, after a scan."""
        await self.scan()
        found = await pod_in(self.registry, netns)
        self._follow()
        return found

    async def look_at_held(self, pod: Pod) -> Held:
        """What the pod's nginx holds besides its listeners. The ports found are added to the pod's
        ports."""
        held = await asyncio.to_thread(look_at, pod)
        if held.ports - pod.ports:
            self.registry.learn(pod.key, held.ports)
            self._follow()
        return held

    async def counts(self, pod: Pod) -> Counts:
        """The corrected counters of a pod."""
        self._begin_anew_with_another_source()
        self._ledger.update(pod.counted_by, await self._source.counters(pod))
        return self._ledger.counts(pod.counted_by)

    def _begin_anew_with_another_source(self) -> None:
        """Forget corrections after a change of source, whose counters start at zero."""
        if self._generation != self._source.generation:
            self._generation = self._source.generation
            self._ledger.keep_only(set())
            self._known = set()
            self._follow()

    async def all_counts(self) -> list[tuple[Pod, Counts]]:
        """Every pod with its counts, read again within the share of CPU time for that."""
        return await self._polls.latest()

    async def _count_all(self) -> list[tuple[Pod, Counts]]:
        pods = self.pods()
        counted = await self._source.all_counters(pods)
        self._begin_anew_with_another_source()
        found = []
        for pod in pods:
            if counts := counted.get(pod.number):
                self._ledger.update(pod.counted_by, counts)
                found.append((pod, self._ledger.counts(pod.counted_by)))
        return found

    def departed(self) -> list[tuple[Pod, Counts]]:
        """The pods that ended in the last minutes, each with its last counts."""
        return self._departures.recent(time.monotonic())

    def open(self, pod: Pod, pid: int) -> Place:
        """The pod's namespace, held open through one of its processes. Raises FileNotFoundError or
        ProcessLookupError when the process has ended, or another one has its pid."""
        place = self._source.open(pid)
        if place.netns != pod.netns:
            place.close()
            raise ProcessLookupError(f"cannot reach the pod: pid {pid} is another process now")
        return place

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        """A snapshot of the pod, by which the ledger is corrected."""
        snapshot = await self._source.snapshot(pod, place)
        if snapshot.around:
            before, after = snapshot.around
            self._ledger.update(pod.counted_by, after)
            shown = self._ledger.counts(pod.counted_by)
            if drift := self._ledger.rebase(pod.counted_by, before, snapshot, after):
                self.drift += drift
                was = format_states(shown.by_state)
                is_now = format_states(self._ledger.counts(pod.counted_by).by_state)
                log.debug(
                    "counters corrected",
                    extra={"pod": pod.label, "drift": drift, "before": was, "after": is_now},
                )
        return snapshot

    async def snapshot_through(self, pod: Pod, pid: int) -> Snapshot:
        """The same, through the namespace of one of the pod's processes. Raises OSError."""
        place = self.open(pod, pid)
        try:
            return await self.snapshot(pod, place)
        finally:
            place.close()

    async def compare(self, pod: Pod) -> Snapshot | None:
        """A snapshot to correct the ledger, and a second one if it shows an error; None when the
        pod's processes have ended."""
        for nginx in pod.processes:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                snapshot = await self.snapshot_through(pod, nginx.pid)
                if self._ledger.suspects(pod.counted_by):
                    await asyncio.sleep(LOOK_TWICE)
                    snapshot = await self.snapshot_through(pod, nginx.pid)
                return snapshot
        return None

    def watch(self, pod: Pod, callback: Callable[[], None]) -> None:
        """Call `callback` once at the pod's next change; call `watch` again after that."""
        self._on_change[pod.number] = callback
        self._source.watch(pod)

    def ignore(self, pod: Pod, ignored: Ignored) -> None:
        """Stop counting these connections of the pod as arrivals, and count all others."""
        self._source.ignore(pod, ignored)

    def unwatch(self, pod: Pod) -> None:
        """Stop the callbacks for the pod."""
        self._on_change.pop(pod.number, None)
        self._source.unwatch(pod)
