"""One running drain: carries out the state machine's actions on a real pod."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from drainmon.daemon.nginx_watch import NginxWatch
from drainmon.daemon.node import Node
from drainmon.daemon.roll import replace_workers
from drainmon.daemon.scans import Spawn
from drainmon.drain.demand import ENDED, Demand, Phase
from drainmon.drain.machine import Action, Drain
from drainmon.drain.policy import Policy
from drainmon.drain.reasons import CUT
from drainmon.drain.report import DrainRecord, progress
from drainmon.drain.roll import Outcome, Roll
from drainmon.model.counts import Counts
from drainmon.model.ignored import NOTHING
from drainmon.model.snapshot import Snapshot
from drainmon.pods.held import count_elsewhere
from drainmon.pods.pod import Pod
from drainmon.sources.base import Place

log = logging.getLogger(__name__)

LAST_LOOK = 0.5
"""Seconds for a last snapshot when the last client has ended together with nginx."""

UDP_LOOK = 0.1
"""Seconds between looks at workers that may still serve UDP clients."""

Verify = Callable[[], None]
"""Raises PermissionError when the client's process is no longer the one that asked."""


class DrainRun:
    """Drains one pod, for any number of clients. Owns `place`, which keeps the pod's sockets
    reachable after its processes have ended. `on_end` is called once, `on_roll` after each roll."""

    def __init__(
        self,
        node: Node,
        pod: Pod,
        drain: Drain,
        place: Place,
        on_end: Callable[["DrainRun"], None],
        on_roll: Callable[[Roll], None] = lambda _: None,
    ) -> None:
        self._node = node
        self._pod = pod
        self._place = place
        self._on_end = on_end
        self._on_roll = on_roll
        self._nginx = NginxWatch(pod)
        self._awake = asyncio.Event()
        self._woken = False
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._rolling: asyncio.Task[None] | None = None
        self._accepted: tuple[frozenset[int], int] | None = None
        self.number = 0
        """The number of its record."""
        self.drain = drain
        self.followers: list[Verify] = []
        self.record = DrainRecord(
            pod.label,
            pod.netns,
            started=time.time() - (time.monotonic() - drain.started),
            namespace=pod.identity.namespace,
            name=pod.identity.name,
            uid=pod.identity.uid,
        )

    @property
    def ended(self) -> bool:
        return self.record.result is not None

    async def changed(self, within: float) -> None:
        """Return after the drain's next step, or after `within` seconds."""
        changed = self._changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await changed.wait()

    def progress(self, demand: Demand) -> dict[str, Any]:
        """The progress line for one of the clients."""
        return progress(self.drain, demand, time.monotonic())

    def begin(self, spawn: Spawn) -> None:
        """Start draining. All resources are released at the end, also of a drain that never ran."""
        self._node.registry.hold(self._pod.key)
        self._task = spawn(self._run())
        self._task.add_done_callback(lambda _: self._end())

    def join(self, policy: Policy, started: float) -> Demand:
        """Add a client."""
        demand = self.drain.join(policy, started)
        self._awake.set()
        return demand

    def abandon(self) -> None:
        """Stop draining: the last client has left."""
        if self._task:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            self._ignore()  # first: the first counts tell earlier arrivals from this drain's
            await self._count_arrivals()
            self._nginx.held = await self._node.look_at_held(self._pod)
            while self.drain.demands:
                await self._act()
                self._publish()
        except asyncio.CancelledError:
            # A pod that is killed takes its hook along: a last look shows what was lost.
            if self._nginx.has_lost(self._pod):
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(LAST_LOOK):
                        self._saw(*await self._take())
            raise
        except Exception:
            self.record.result = "failed"
            log.exception("drain failed", extra={"pod": self._pod.label})

    def _end(self) -> None:
        if self.drain.phase in ENDED:
            self.record.result = self.drain.phase.value
        elif not self.record.result:
            self.record.result = self._how_it_was_left()
        if self._rolling and not self._rolling.done():
            self._rolling.cancel()
            self._on_roll(self.drain.rolls.end())
        self._node.registry.release(self._pod.key)
        self._place.close()
        with contextlib.suppress(OSError):  # a source that does not work any more
            self._node.ignore(self._pod, NOTHING)
            self._node.unwatch(self._pod)
        self._publish()
        if self.record.result == "cut":
            self.record.reason = CUT
        log.info("drain ended", extra={"drain": asdict(self.record)})
        self._on_end(self)

    def _how_it_was_left(self) -> str:
        """The result when no client waits any more."""
        if not self._nginx.has_lost(self._pod):
            return "abandoned"
        return "cut" if self.drain.nginx.cut or self.drain.in_flight else "gone"

    async def _act(self) -> None:
        self._node.set_pace(self.drain)
        if self.drain.udp_workers and self.drain.phase is not Phase.SETTLING:
            # The exit of a worker is no event.
            self.drain.look_interval = min(self.drain.look_interval, UDP_LOOK)
        step = self.drain.step(time.monotonic())
        match step.action:
            case Action.LOOK:
                await self._look()
            case Action.ROLL:
                self._rolling = asyncio.create_task(self._roll())
            case Action.SLEEP:
                await self._sleep(step.until)
            case Action.DONE:
                pass

    async def _look(self) -> None:
        snapshot, counts = await self._take()
        if self._pod.processes and self._nginx.has_lost(self._pod):
            await self._rescan()  # another nginx may have taken over
        self._saw(snapshot, counts)

    async def _take(self) -> tuple[Snapshot, Counts]:
        self._ignore()
        # Watch first: a change during the snapshot must wake again.
        self._woken = False
        self._awake.clear()
        self._node.watch(self._pod, self._wake)
        snapshot = await self._node.snapshot(self._pod, self._place)
        if self._nginx.held.listens_elsewhere:
            elsewhere = await asyncio.to_thread(count_elsewhere, self._pod)
            snapshot = replace(snapshot, elsewhere=elsewhere)
        patience = self.drain.rules.unreachable_after
        await asyncio.to_thread(
            self._nginx.udp.look, self._pod, self._nginx.held.udp, snapshot.finished, patience
        )
        return snapshot, await self._count_arrivals()

    def _saw(self, snapshot: Snapshot, counts: Counts) -> None:
        self.drain.ports = self._pod.ports
        judged = snapshot.by(self.drain.rules)
        nginx = self._nginx.now(self._pod, counts, judged.tally)
        self.drain.saw(judged, nginx, snapshot.tally.counted_in_flight)

    async def _count_arrivals(self) -> Counts:
        counts = await self._node.counts(self._pod)
        # Counts of other ports, or of another source, are not comparable.
        if self._accepted and self._accepted[0] == self._pod.ports:
            self.record.arrivals += max(0, counts.arrivals - self._accepted[1])
        self._accepted = self._pod.ports, counts.arrivals
        self.drain.arrived(counts.last_accept)
        return counts

    async def _roll(self) -> None:
        ended = Roll(Outcome.FAILED, "see the daemon's log")
        try:
            await self._rescan()
            held = self._nginx.held
            if held.udp:
                await asyncio.to_thread(self._nginx.udp.rolls, self._pod)
            ended = await replace_workers(self._pod, held, self._verify, self.drain.rolling)
        except Exception:
            log.exception("roll failed", extra={"pod": self._pod.label})
        self.drain.rolled(ended)
        self._on_roll(ended)
        self._awake.set()

    def _verify(self) -> None:
        """Raise PermissionError unless one of the clients is still the process that asked."""
        for verify in self.followers:
            with contextlib.suppress(PermissionError):
                return verify()
        raise PermissionError("cannot identify the caller: no client follows this drain any more")

    async def _rescan(self) -> None:
        await self._node.scan()
        self._nginx.held = await self._node.look_at_held(self._pod)
        self._refresh()

    def _ignore(self) -> None:
        self._refresh()
        self._node.ignore(self._pod, self.drain.rules.ignored)

    def _refresh(self) -> None:
        """The pod as it is now, without the ports that the drain ignores."""
        before, pod = self._pod, self._node.registry.get(self._pod.key) or self._pod
        self._pod = replace(pod, ports=pod.ports - self.drain.rules.ignored.ports)
        if before.number != self._pod.number:  # the registry forgot the pod before `hold`
            with contextlib.suppress(OSError):  # a source that does not work any more
                self._node.ignore(before, NOTHING)
                self._node.unwatch(before)

    def _wake(self) -> None:
        self._woken = True
        # While settling, only time and the last arrival matter.
        if self.drain.phase is not Phase.SETTLING:
            self._awake.set()

    async def _sleep(self, until: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._awake.wait()
        self._awake.clear()
        if self.drain.look_is_due(time.monotonic()):
            return  # the snapshot reads the counters, too
        counts = await self._count_arrivals()
        if self._woken:
            self._woken = False
            self.drain.woke(counts.in_flight)

    def _publish(self) -> None:
        self.record.update(self.drain, time.monotonic())
        self._changed.set()
        self._changed = asyncio.Event()
