"""Source `core`: the CO-RE programs of bpf/, for kernels with BTF."""

import asyncio
import contextlib
import logging
import os
import time
from itertools import compress

from drainmon.kernel import netns
from drainmon.kernel.conntrack import Conntrack
from drainmon.kernel.counted_ports import Counters, summed
from drainmon.kernel.sock_diag import SockDiag
from drainmon.kernel.wire import LISTENERS, CountedAs
from drainmon.model.counts import Counts
from drainmon.model.ignored import Ignored
from drainmon.model.snapshot import Snapshot
from drainmon.model.standing import Socket
from drainmon.model.tcp import TcpState
from drainmon.pods.pod import Pod
from drainmon.procfs import process
from drainmon.sources.base import Listeners, Place
from drainmon.sources.diag_reading import judge_by_mptcp
from drainmon.sources.events import Events
from drainmon.sources.first_seen import FirstSeen
from drainmon.sources.records import Records
from drainmon.sources.shares import Share, Shares
from drainmon.sources.usage import Usage
from drainmon.turns import in_turns

log = logging.getLogger(__name__)

_STATES = {int(state): state for state in TcpState}
_SLOTS = [_STATES.get(slot, TcpState.CLOSE) for slot in range(max(_STATES) + 1)]
"""The TCP state of each slot of the counters; the first slot is unused."""

QUICK = 4000
"""Per-CPU counters that are read in the event loop at most, in a millisecond."""

PORT_READ = 16
"""The cost of a port's system call, in counters."""


class CoreSource:
    """`start` raises OSError when the host cannot run it."""

    name = "core"
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
        self._probe_processes = probe_processes
        self._host = host
        self._loaded = contextlib.ExitStack()
        self._usage = Usage(self._loaded.close)
        self._held = contextlib.ExitStack()
        self._held.callback(self._usage.close)
        self._watching: dict[tuple[int, int], set[int]] = {}
        """The numbers of pods that watch a port: in the host's namespace two may share one."""
        self._seen: dict[int, FirstSeen] = {}
        """For watched pods, by number."""
        self._partly: set[int] = set()
        """The numbers of pods with ports that are not counted."""
        self._unwatched = 0
        self._lost = 0
        self._lost_at = float("-inf")
        """When a loss was last seen, monotonic."""

    def close(self) -> None:
        self._held.close()

    def _on_event(self, netns: int, port: int) -> None:
        if (netns, port) == LISTENERS:
            self._listeners.listening()
            return
        for pod in list(self._watching.get((netns, port), ())):
            self._listeners.changed(pod)

    async def start(self) -> None:
        # The event loop runs on while the kernel verifies the programs.
        await asyncio.to_thread(self._load)
        conntrack = self._conntrack
        self._shares = Shares(conntrack.add_port, conntrack.forget_port, conntrack.ports_at_most)
        self._events = Events([self._conntrack.events_fd()], self._conntrack.consume_events)
        self._held.callback(self._events.close)

    def _load(self) -> None:
        with self._usage:
            self._conntrack = Conntrack(self._on_event)
            self._loaded.callback(self._conntrack.close)
            self._conntrack.announce(self._names)
            self._conntrack.watch_listeners()
            if self._probe_processes and self._host:
                self._conntrack.find_probes(self._host, self._probe_processes)

    def open(self, pid: int) -> Place:
        fd = process.open_netns(pid)
        return Place((fd,), os.fstat(fd).st_ino)

    def missed(self) -> dict[str, int]:
        missed = {"recursion": self._lost_events(), "watch": self._unwatched}
        for place, count in self._conntrack.lost().items():
            missed[str(place.name).lower()] = count
        return missed

    def _lost_events(self) -> int:
        """The number of lost events. A lost one may have been an arrival, of any pod."""
        lost = self._conntrack.missed()
        if lost > self._lost:
            self._lost, self._lost_at = lost, time.monotonic()
        return lost

    def follow(self, pods: list[Pod]) -> None:
        self._events.check()
        self._shares.follow(pods)
        partly = [pod for pod in pods if not self._shares.of(pod).whole]
        for pod in partly:
            if pod.number not in self._partly:
                counted = len(self._shares.of(pod).counted)
                log.warning(
                    "cannot count all ports",
                    extra={"pod": pod.label, "ports": len(pod.ports), "counted": counted},
                )
        self._partly = {pod.number for pod in partly}

    async def counters(self, pod: Pod) -> Counts:
        self._events.check()
        share = self._shares.of(pod)
        if self._is_quick([share]):
            return self._read(pod.netns, share)
        return await asyncio.to_thread(self._read_in_thread, pod.netns, share)

    def _is_quick(self, shares: list[Share]) -> bool:
        """Whether reading these counters takes less than a millisecond."""
        ports = sum(len(share.counted) for share in shares)
        return ports * (PORT_READ + self._conntrack.cpus) <= QUICK

    def _read(self, netns: int, share: Share) -> Counts:
        ports = [self._conntrack.counters(netns, port) for port in share.counted]
        return self._counts(share, [one for one in ports if one])

    def _read_in_thread(self, netns: int, share: Share) -> Counts:
        with self._usage:
            return self._read(netns, share)

    async def all_counters(self, pods: list[Pod]) -> dict[int, Counts]:
        self._events.check()
        shares = [(pod, self._shares.of(pod)) for pod in pods]
        if self._is_quick([share for _, share in shares]):
            return {pod.number: self._read(pod.netns, share) for pod, share in shares}
        by_port = await asyncio.to_thread(self._read_all)
        counted = {}
        async for some in in_turns(shares):
            for pod, share in some:
                ports = [by_port.get((pod.netns, port)) for port in share.counted]
                counted[pod.number] = self._counts(share, [one for one in ports if one])
        return counted

    def _read_all(self) -> dict[tuple[int, int], Counters]:
        with self._usage:
            return self._conntrack.all_counters()

    def _counts(self, share: Share, ports: list[Counters]) -> Counts:
        """The sum over the counted ports. With ports that are not counted, the last arrival may be
        now, and the number of changes is unknown."""
        last = share.since
        if last is None and share.ports:
            last = time.monotonic()
        if not ports:
            return Counts(last_accept=last, cut=0, changes=0 if share.whole else None)
        changes, accepted, last_ns, probes_accepted, arrivals, cut, *by_slot = summed(ports)
        if last is not None:
            last = max(last, last_ns / 1e9, self._lost_at)
        by_state = dict(compress(zip(_SLOTS, by_slot, strict=False), by_slot))
        probes = by_slot[CountedAs.PROBE]
        known = changes if share.whole else None
        return Counts(by_state, accepted, last, probes, probes_accepted, arrivals, cut, known)

    async def snapshot(self, pod: Pod, place: Place) -> Snapshot:
        share, seen = self._shares.of(pod), self._seen.get(pod.number)

        def body() -> Snapshot:
            with self._usage:
                return self._look(pod, share, seen)

        (fd,) = place.files
        return await asyncio.wrap_future(netns.spawn_in(fd, body))

    def _look(self, pod: Pod, share: Share, seen: FirstSeen | None) -> Snapshot:
        """A snapshot, taken by a thread in the pod's namespace."""
        before = self._read(pod.netns, share)
        taken = time.monotonic()
        parts = self._conntrack.read_snapshot(every_port=not share.whole)
        self._lost_events()
        after = self._read(pod.netns, share)
        found = Records()
        for part in parts:
            found.add(part, pod.ports)
        if found.mptcp:
            _judge_by_mptcp(found.sockets, pod.ports)
        if seen:
            seen.date(found.sockets, pod.ports, taken)
        return Snapshot(
            taken,
            time.monotonic(),
            tuple(found.sockets),
            tuple(found.listeners),
            in_parts=len(parts) > 1 and not self._conntrack.whole_passes,
            time_wait=found.time_wait,
            around=(before, after),
        )

    def watch(self, pod: Pod) -> None:
        self._seen.setdefault(pod.number, FirstSeen())
        for port in self._shares.of(pod).counted:
            key = pod.netns, port
            self._watching.setdefault(key, set()).add(pod.number)
            if not self._conntrack.watch(*key):  # the map is full: looks find changes
                self._unwatched += 1

    def unwatch(self, pod: Pod) -> None:
        self._seen.pop(pod.number, None)
        for key in [key for key, pods in self._watching.items() if pod.number in pods]:
            self._watching[key].discard(pod.number)
            if not self._watching[key]:
                del self._watching[key]
                self._conntrack.unwatch(*key)

    def watch_listeners(self) -> None:
        self._conntrack.watch_listeners()

    def ignore(self, pod: Pod, ignored: Ignored) -> None:
        try:
            ports = self._shares.of(pod).counted
            self._conntrack.ignore(pod.number, pod.netns, ports, ignored.prefixes())
        except OSError as error:
            log.warning("cannot ignore all peers", extra={"pod": pod.label, "error": str(error)})


def _judge_by_mptcp(sockets: list[Socket], ports: frozenset[int]) -> None:
    """`judge_by_mptcp` in the network namespace of the calling thread."""
    with contextlib.suppress(OSError), contextlib.closing(SockDiag()) as diag:
        judge_by_mptcp(sockets, diag, ports)
