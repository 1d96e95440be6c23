"""Source `procfs`: /proc/<pid>/net/{tcp,tcp6,snmp}, for any kernel and without capabilities.

It is exact as of its last look, and looks only at pods that somebody asks for.
"""

import asyncio
import contextlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from drainmon.model.ignored import Ignored
from drainmon.model.ledger import Counts
from drainmon.model.snapshot import Snapshot
from drainmon.pods.pod import Pod
from drainmon.procfs import net_files, process
from drainmon.procfs.net_snmp import parse_passive_opens
from drainmon.procfs.net_tcp import find_rows
from drainmon.sources.base import Listeners, Place, one_by_one
from drainmon.sources.ignored_arrivals import IgnoredArrivals
from drainmon.sources.look import Look
from drainmon.sources.sightings import Sightings

LOOK_SHARE = 20
"""Counters are read again no sooner than this many times what the last look took."""

KEPT = 60.0
"""Seconds after the last look for which a pod that is no more is remembered."""

_NEVER = float("-inf")


class ProcfsSource:
    """`accepted` is counted from the first look at a pod, on all ports of its namespace together;
    `last_accept` is when a look found it grown, later than it was, never earlier; at first, when
    the first look was."""

    name = "procfs"
    look_interval = 0.075
    longest_pause = 10.0
    announces = False
    """It does not hear of new listeners."""

    def __init__(self, listeners: Listeners) -> None:
        self._watchers: dict[int, _Watcher] = {}
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="procfs")

    async def start(self) -> None:
        """Nothing: what exists already is seen when it is looked at."""

    def close(self) -> None:
        self._threads.shutdown(wait=False)  # who waits for a look still gets it

    def open(self, pid: int) -> Place:
        return Place(net_files.open_net(pid))

    async def counters(self, pod: Pod) -> Counts:
        watcher = self._watcher(pod)
        if watcher.outdated(pod, self.look_interval):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._count, watcher, pod)
        return watcher.counts

    def _count(self, watcher: "_Watcher", pod: Pod) -> None:
        with watcher.lock:
            if not watcher.outdated(pod, self.look_interval):  # another caller was first
                return
            for nginx in pod.processes:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    place = self.open(nginx.pid)
                    with contextlib.closing(place):
                        if process.start_time(nginx.pid) == nginx.started:
                            watcher.look(pod, place)
                            return

    async def all_counters(self, pods: list[Pod]) -> dict[int, Counts]:
        return await one_by_one(self, pods)

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        watcher = self._watcher(pod)
        # A caller who gives up closes its place while the thread still reads.
        own = Place(tuple(map(os.dup, place.files)))
        try:
            future = self._threads.submit(watcher.snapshot, pod, own)
        except RuntimeError:  # this source is closed
            own.close()
            raise
        future.add_done_callback(lambda _: own.close())
        return await asyncio.wrap_future(future)

    def local_ends(self, pod: Pod) -> set[tuple[bytes, int]]:
        """The local addresses and ports on which the last look found connections."""
        return self._watcher(pod).local_ends()

    def _watcher(self, pod: Pod) -> "_Watcher":
        return self._watchers.setdefault(pod.number, _Watcher())

    def watch(self, pod: Pod) -> None:
        """Nothing: changes are found by looking."""

    def ignore(self, pod: Pod, ignored: Ignored) -> None:
        self._watcher(pod).ignore(ignored)

    def unwatch(self, pod: Pod) -> None:
        """Nothing."""

    def missed(self) -> dict[str, int]:
        return {}

    def ports(self, netns: int) -> frozenset[int]:
        """None: nobody has told of listeners that have closed."""
        return frozenset()

    async def prune(self, pods: list[Pod]) -> None:
        known = {pod.number for pod in pods}
        latest = time.monotonic() - KEPT
        for number, watcher in list(self._watchers.items()):
            if number not in known and watcher.ended < latest:
                del self._watchers[number]


class _Watcher:
    """What is known of one pod. `lock` is for whoever looks, in a thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts = Counts()
        self.netns = 0
        self.ended = time.monotonic()
        self._fresh_until = _NEVER
        self._ports: frozenset[int] = frozenset()
        self._sightings = Sightings()
        self._opens: int | None = None
        self._ignored: IgnoredArrivals | None = None

    def ignore(self, ignored: Ignored) -> None:
        """For looks that begin later."""
        self._ignored = IgnoredArrivals(ignored) if ignored else None

    def outdated(self, pod: Pod, interval: float) -> bool:
        """Whether the last look is older than `interval`, or was for other ports."""
        fresh_until = max(self._fresh_until, self.ended + interval)
        return self._ports != pod.ports or time.monotonic() > fresh_until

    def local_ends(self) -> set[tuple[bytes, int]]:
        return self._sightings.local_ends()

    def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        with self.lock:
            return self.look(pod, place)

    def look(self, pod: Pod, place: Place) -> Snapshot:
        """The pod's sockets. Hold the lock."""
        snmp, *tables = place.files
        began = time.monotonic()
        look = Look(self._sightings, began)
        ignored = self._ignored
        opens_before = _passive_opens(snmp, pod) if ignored else 0
        in_parts = False
        for table in tables:
            size = 0
            for piece in net_files.read_rows(table):
                look.add(find_rows(piece, pod.ports), time.monotonic())
                if ignored:
                    ignored.add(find_rows(piece, pod.ports | ignored.ports))
                size += len(piece)
            in_parts |= size > net_files.PAGE
        # Read behind the sockets: who comes in between is at least an arrival.
        opens = _passive_opens(snmp, pod)
        ended = time.monotonic()
        self._sightings = look.finish(ended)
        snapshot = Snapshot(
            began,
            ended,
            self._sightings,
            self._sightings.listeners(),
            in_parts=in_parts,
            time_wait=self._sightings.time_wait,
            counted=self._sightings.tally(),
        )
        new = opens - self._opens if self._opens is not None else 0
        if ignored:
            new = ignored.arrivals(new, opens - opens_before, ended)
        self._count(snapshot, opens, new)
        self.netns, self._ports, self.ended = pod.netns, pod.ports, ended
        self._fresh_until = ended + LOOK_SHARE * (ended - began)
        return snapshot

    def _count(self, snapshot: Snapshot, opens: int, new: int) -> None:
        if self._opens is None:
            self._opens = opens
        accepted, last = self.counts.accepted + opens - self._opens, self.counts.last_accept
        if last is None or new > 0:
            last = snapshot.finished
        self._opens = opens
        arrivals = self.counts.arrivals + new
        self.counts = Counts(snapshot.tally.connections, accepted, last, arrivals=arrivals)


def _passive_opens(snmp: int, pod: Pod) -> int:
    opens = parse_passive_opens(net_files.read_whole(snmp))
    if opens is None:
        raise OSError(f"cannot count arrivals of {pod.label}: no PassiveOpens in net/snmp")
    return opens
