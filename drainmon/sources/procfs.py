"""Source `procfs`: snapshots on any kernel, if need be without capabilities.

Sockets are listed by sock_diag in the pod's network namespace, or, where that may not be entered or
the kernel refuses, from /proc/<pid>/net/{tcp,tcp6}. Counts are exact as of the last snapshot, which
is taken only of pods whose counts are requested.
"""

import asyncio
import contextlib
import errno
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar, cast

from drainmon.kernel import netns
from drainmon.kernel.sock_diag import SockDiag, try_listing
from drainmon.kernel.sockmaps import Sockmaps
from drainmon.model.counts import Counts
from drainmon.model.ignored import Ignored
from drainmon.model.snapshot import Snapshot
from drainmon.pods.pod import Pod
from drainmon.procfs import process
from drainmon.sources.base import Listeners, Place, one_by_one
from drainmon.sources.pace import LEAST, Pace
from drainmon.sources.pod_net import PodNet, open_pod_net
from drainmon.sources.probe_watch import ProbeWatch
from drainmon.sources.usage import Usage
from drainmon.sources.watcher import Watcher

log = logging.getLogger(__name__)

WATCHED_FOR = 3
"""How long the counts of a drain's last snapshot are used, in multiples of the interval."""

REFUSALS = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT}
)
"""Permanent errors of sock_diag; others are temporary, such as a lack of files or threads."""

P = ParamSpec("P")
T = TypeVar("T")

KEPT = 60.0
"""Seconds after its last snapshot for which a departed pod is remembered."""


class ProcfsSource:
    """Its `accepted` counts from the first snapshot of a pod, on all ports of the namespace
    together. Its `last_accept` is when a snapshot noticed an arrival, never earlier than the
    arrival; before any, the time of the first snapshot."""

    name = "procfs"
    longest_pause = 5.0
    announces = False
    """It does not notice new listeners."""

    def __init__(
        self,
        listeners: Listeners,
        probe_processes: tuple[str, ...] = (),
        host: frozenset[int] = frozenset(),
        by_diag: bool = True,
    ) -> None:
        self._watchers: dict[int, Watcher] = {}
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="procfs")
        self._by_diag = by_diag
        self._drained: set[int] = set()
        """The numbers of draining pods."""
        self._probed: dict[int, Pod] = {}
        self._pace = Pace()
        self._probes = ProbeWatch(probe_processes, host)
        self._usage = Usage(self._probes.close)
        self._sockmaps = Sockmaps()
        self._loop_time = 0.0

    @property
    def look_interval(self) -> float:
        return min(self._pace.interval, self.longest_pause)

    async def start(self) -> None:
        """Find out how sockets can be read."""
        if self._by_diag:
            try:
                await asyncio.to_thread(try_listing)
            except OSError as error:
                self._by_diag = False
                self._refused(error)
        try:
            await asyncio.to_thread(self._start_probes)
        except OSError as error:
            why = error.strerror or str(error)
            log.warning("cannot recognise probes", extra={"source": self.name, "error": why})

    def _start_probes(self) -> None:
        with self._usage:
            self._probes.start()

    def _refused(self, error: OSError) -> None:
        log.warning(
            "cannot use sock_diag",
            extra={"source": self.name, "error": error.strerror or str(error)},
        )

    def close(self) -> None:
        self._threads.shutdown(wait=False)  # snapshots that have begun continue
        self._usage.close()

    def _submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The future result of a function, run by a thread. Raises OSError when the source is
        closed, and when no thread can start; in that case the function may run later."""
        with self._usage:
            try:
                return self._threads.submit(function, *args, **kwargs)
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, f"cannot count: {error}") from error

    def open(self, pid: int) -> PodNet:
        return open_pod_net(pid, self._open_diag)

    def _open_diag(self, fd: int) -> SockDiag | None:
        """A netlink socket in the namespace open as `fd`; None when the kernel refuses it."""
        if self._by_diag:
            try:
                return netns.call_in(fd, SockDiag)
            except OSError as error:
                if error.errno not in REFUSALS:
                    raise
                self._by_diag = False
                self._refused(error)
        return None

    async def counters(self, pod: Pod) -> Counts:
        watcher = self._watcher(pod)
        if watcher.outdated(pod, self._fresh_for(pod)):
            await asyncio.wrap_future(self._submit(self._count, watcher, pod))
        return watcher.counts

    def _count(self, watcher: Watcher, pod: Pod) -> None:
        with self._usage, watcher.lock:
            if not watcher.outdated(pod, self._fresh_for(pod)):  # another caller was first
                return
            for nginx in pod.processes:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    place = self.open(nginx.pid)
                    with contextlib.closing(place):
                        same = process.start_time(nginx.pid) == nginx.started
                        if same and place.netns == pod.netns:
                            watcher.look(pod, place)
                            return

    def _fresh_for(self, pod: Pod) -> float:
        """Seconds for which the counts of the last snapshot are used. A drain takes snapshots
        itself, and reads counters around each of them."""
        return WATCHED_FOR * self.look_interval if pod.number in self._drained else LEAST

    async def all_counters(self, pods: list[Pod]) -> dict[int, Counts]:
        return await one_by_one(self, pods)

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        watcher = self._watcher(pod)
        # A cancelled caller closes its place while the thread still reads.
        with self._usage:
            own = cast(PodNet, place).dup()
            future = self._submit(self._look, watcher, pod, own)
        future.add_done_callback(lambda done: own.close() if done.cancelled() else None)
        around = time.thread_time() - self._loop_time
        snapshot, taken = await asyncio.wrap_future(future)
        if pod.number in self._drained:
            self._pace.add(pod.number, taken, around)
            self._loop_time = time.thread_time()
        return snapshot

    def _look(self, watcher: Watcher, pod: Pod, place: PodNet) -> tuple[Snapshot, float]:
        """A snapshot, and the seconds of CPU time that it took. Closes the place."""
        with contextlib.closing(place), self._usage:
            if pod.number in self._probed:
                self._probes.follow(pod)
                if pod.number not in self._probed:  # the drain has ended meanwhile
                    self._probes.unfollow(pod.number)
            began = time.thread_time()  # work above is done once per drain, not per snapshot
            with watcher.lock:
                snapshot = watcher.look(pod, place)
            return snapshot, time.thread_time() - began

    def local_ends(self, pod: Pod) -> frozenset[tuple[bytes, int]]:
        """The local addresses and ports on which the last snapshot found connections."""
        return self._watcher(pod).local_ends

    def _watcher(self, pod: Pod) -> Watcher:
        if pod.number not in self._watchers:
            self._watchers[pod.number] = Watcher(self._refused, self._probes, self._sockmaps)
        return self._watchers[pod.number]

    def watch(self, pod: Pod) -> None:
        """Begin to observe a draining pod: snapshots find its changes."""
        if not self._drained:
            self._loop_time = time.thread_time()
        self._drained.add(pod.number)
        self.recognise(pod)

    def ignore(self, pod: Pod, ignored: Ignored) -> None:
        self._watcher(pod).ignore(ignored)

    def unwatch(self, pod: Pod) -> None:
        self._drained.discard(pod.number)
        self._pace.forget(pod.number)
        self.forget_probes(pod)

    def recognise(self, pod: Pod) -> None:
        """Recognise the pod's probes from its next snapshot on."""
        self._probed[pod.number] = pod

    def forget_probes(self, pod: Pod) -> None:
        """Stop recognising the pod's probes."""
        self._probed.pop(pod.number, None)
        # Closing the samples takes the kernel many milliseconds.
        with contextlib.suppress(OSError):  # this source is closed
            self._submit(self._probes.unfollow, pod.number)

    def missed(self) -> dict[str, int]:
        return {"probe": self._probes.lost}

    def watch_listeners(self) -> None:
        """Do nothing: scans find new listeners."""

    def follow(self, pods: list[Pod]) -> None:
        """Forget pods that ended a while ago."""
        known = {pod.number for pod in pods}
        latest = time.monotonic() - KEPT
        for number, watcher in list(self._watchers.items()):
            if number not in known and watcher.ended < latest:
                del self._watchers[number]
