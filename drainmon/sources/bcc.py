"""Source `bcc`: for kernels without BTF, since 4.16.

- Snapshots, connections by state and probes are those of source procfs, which are exact. They are
  read again only after the program has seen a change on one of the pod's ports, in any namespace.
- Accepted connections: their number is from /proc/<pid>/net/snmp, the time of the last one at most
  that of the program.
- Wake-ups and new listeners come from the program. It does not know namespaces, so a pod is watched
  by the local addresses of its connections. Another pod with the same addresses (loopback) wakes it
  in vain; the first connection to a new address is found by looking.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass

from drainmon.kernel.bcc_conntrack import ANY_ADDRESS, BccConntrack
from drainmon.model.counts import Counts
from drainmon.model.ignored import Ignored
from drainmon.model.snapshot import Snapshot
from drainmon.pods.pod import Pod
from drainmon.sources.base import Listeners, Place, one_by_one
from drainmon.sources.events import Events
from drainmon.sources.procfs import ProcfsSource
from drainmon.sources.usage import Usage

STATE_FOLLOWS = 0.02
"""Seconds after an event in which a snapshot may show the old state: the event comes first."""

Endpoints = frozenset[tuple[bytes, int]]
"""Local addresses, IPv4 ones mapped, and ports."""


@dataclass(frozen=True)
class _Reading:
    """The counts of a snapshot begun at or after `began`; `said` are those of source procfs."""

    began: float
    said: Counts
    counts: Counts


class BccSource:
    """`start` raises OSError when the host cannot run it."""

    name = "bcc"
    look_interval = 1.0
    longest_pause = 1.0
    announces = True

    def __init__(
        self,
        listeners: Listeners,
        names: tuple[str, ...],
        probe_processes: tuple[str, ...] = (),
        host: frozenset[int] = frozenset(),
    ) -> None:
        self._listeners = listeners
        self._names = names
        self._watched: dict[int, Endpoints] = {}
        self._unwatched = 0
        self._readings: dict[tuple[int, frozenset[int]], _Reading] = {}
        self._procfs = ProcfsSource(listeners, probe_processes, host)
        self._loaded = contextlib.ExitStack()
        self._usage = Usage(self._loaded.close)
        self._held = contextlib.ExitStack()
        self._held.callback(self._usage.close)
        self._held.callback(self._procfs.close)

    def close(self) -> None:
        self._held.close()

    def _on_change(self, address: bytes, port: int) -> None:
        for pod, endpoints in list(self._watched.items()):
            if (address, port) in endpoints:
                self._listeners.changed(pod)

    def _load(self) -> None:
        with self._usage:
            self._conntrack = BccConntrack(self._names, self._listeners.listening, self._on_change)
            self._loaded.callback(self._conntrack.close)
            self._conntrack.watch_listeners()

    async def start(self) -> None:
        # The event loop runs on while the program is compiled.
        await asyncio.to_thread(self._load)
        self._events = Events(self._conntrack.event_fds(), self._conntrack.consume_events)
        self._held.callback(self._events.close)
        self._conntrack.consume_events()  # events before `add_reader` do not wake the loop
        await self._procfs.start()

    def open(self, pid: int) -> Place:
        return self._procfs.open(pid)

    def missed(self) -> dict[str, int]:
        own = {
            "event": self._conntrack.lost(),
            "watch": self._unwatched,
            "recursion": self._conntrack.missed(),
        }
        return self._procfs.missed() | own

    def watch_listeners(self) -> None:
        self._conntrack.watch_listeners()

    def follow(self, pods: list[Pod]) -> None:
        self._events.check()
        kept = {(pod.number, pod.ports) for pod in pods}
        self._readings = {key: known for key, known in self._readings.items() if key in kept}
        self._procfs.follow(pods)

    async def counters(self, pod: Pod) -> Counts:
        with self._usage:
            return await self._counters(pod)

    async def _counters(self, pod: Pod) -> Counts:
        self._events.check()
        reading = self._readings.get((pod.number, pod.ports))
        changed = max(map(self._conntrack.changed, pod.ports), default=0.0)
        if reading is None or reading.began < changed + STATE_FOLLOWS:
            began = time.monotonic()
            reading = self._keep(pod, began, await self._procfs.counters(pod))
        return reading.counts

    async def all_counters(self, pods: list[Pod]) -> dict[int, Counts]:
        return await one_by_one(self, pods)

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        with self._usage:
            snapshot = await self._procfs.snapshot(pod, place)
            if pod.number in self._watched:
                seen = self._procfs.local_ends(pod)
                self._watch_at(pod, self._watched[pod.number] | seen)
            # The snapshot has just ended: procfs returns its counts without another.
            self._keep(pod, snapshot.taken, await self._procfs.counters(pod))
            return snapshot

    def _keep(self, pod: Pod, began: float, said: Counts) -> _Reading:
        """Record the reading of a snapshot that began at `began`, or of a known older one."""
        known = self._readings.get((pod.number, pod.ports))
        if known and known.said is said:
            began = min(began, known.began)
        counts = said._replace(last_accept=self._accepted_by(pod, said.last_accept))
        reading = self._readings[pod.number, pod.ports] = _Reading(began, said, counts)
        return reading

    def _accepted_by(self, pod: Pod, noticed: float | None) -> float | None:
        """The latest time of the pod's last accept: when a snapshot noticed it, or the last
        accept on these ports in any namespace, if that was earlier."""
        if noticed is None:
            return None
        return min(noticed, max(map(self._conntrack.accepted, pod.ports), default=0.0) or noticed)

    def watch(self, pod: Pod) -> None:
        anywhere = {(ANY_ADDRESS, port) for port in pod.ports}
        self._watch_at(pod, self._watched.get(pod.number, frozenset()) | anywhere)
        self._arm(self._watched[pod.number])
        self._procfs.recognise(pod)

    def ignore(self, pod: Pod, ignored: Ignored) -> None:
        self._procfs.ignore(pod, ignored)

    def unwatch(self, pod: Pod) -> None:
        self._watch_at(pod, frozenset())
        del self._watched[pod.number]
        self._procfs.forget_probes(pod)

    def _watch_at(self, pod: Pod, wanted: Endpoints) -> None:
        """Watch exactly these endpoints for a pod. A port with known addresses is not watched at
        ANY_ADDRESS."""
        before = self._watched.get(pod.number, frozenset())
        known = {port for address, port in wanted if address != ANY_ADDRESS}
        followed = frozenset(
            (address, port)
            for address, port in wanted
            if address != ANY_ADDRESS or port not in known
        )
        self._watched[pod.number] = followed
        self._arm(followed - before)
        for endpoint in (before - followed).difference(*self._watched.values()):
            self._conntrack.unwatch(*endpoint)

    def _arm(self, endpoints: Iterable[tuple[bytes, int]]) -> None:
        for endpoint in endpoints:
            try:
                self._conntrack.watch(*endpoint)
            except OSError:  # the map is full: changes are found by looking
                self._unwatched += 1
