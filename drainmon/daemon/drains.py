"""The node's drains: at most one per pod, for any number of clients."""

import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from typing import Any

from drainmon.daemon.drain_run import DrainRun, Verify
from drainmon.daemon.node import Node
from drainmon.daemon.scans import Spawn
from drainmon.drain.demand import Demand, Phase
from drainmon.drain.machine import Drain
from drainmon.drain.policy import Policy
from drainmon.drain.records import Records
from drainmon.drain.report import DrainRecord
from drainmon.drain.rolls import RollPace
from drainmon.drain.statistics import DrainStatistics
from drainmon.model.ignored import NOTHING, Ignored
from drainmon.pods.pod import Pod, PodKey

HEARTBEAT = 1.0
"""Seconds after which a client gets a line although nothing has changed."""

LINE_PAUSE = 0.2
"""Least seconds between two lines to a client, unless the phase has changed."""

DEADLINE_GRACE = 0.03
"""Seconds that a drain gets to end at its deadline by itself, before it is ended for the client."""


class Drains:
    """Begins drains, lets clients follow them, and ends drains without a client. All of them ignore
    `ignored`. `statistics` counts ended drains."""

    def __init__(self, node: Node, spawn: Spawn, ignored: Ignored = NOTHING) -> None:
        self._node = node
        self._spawn = spawn
        self._ignored = ignored
        self._runs: dict[PodKey, DrainRun] = {}
        self._records = Records()
        self._paces: dict[int, RollPace] = {}
        self.statistics = DrainStatistics()

    @property
    def running(self) -> int:
        """The number of running drains."""
        return sum(not run.ended for run in self._runs.values())

    def records(self) -> Iterator[DrainRecord]:
        """The records of running and ended drains, latest first."""
        return self._records.latest()

    async def drain(
        self, pod: Pod, pid: int, policy: Policy, verify: Verify
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Drain a pod, reached through the namespace of its process `pid`, or join its running
        drain. `verify` raises PermissionError when the client's process is no longer the one that
        asked; without a verified client nothing is signalled. Yields progress lines, the last one
        with `result`, unless the drain failed. Raises OSError when the process has ended.
        """
        own = Ignored(ports=self._node.registry.own_ports(pod.netns))
        policy = replace(policy, ignored=policy.ignored | self._ignored | own)
        started = time.monotonic() - policy.elapsed
        run = self._runs.get(pod.key)
        if run is None or run.ended or not run.drain.demands:
            run = self._begin(pod, pid, Drain(policy, started, self._pace(pod)))
            (demand,) = run.drain.demands
        else:
            demand = run.join(policy, started)
        run.followers.append(verify)
        try:
            async for line in _follow(run, demand):
                yield line
        finally:
            run.followers.remove(verify)
            run.drain.leave(demand)
            if not run.drain.demands:
                run.abandon()
                if self._runs.get(pod.key) is run:
                    del self._runs[pod.key]

    def _begin(self, pod: Pod, pid: int, drain: Drain) -> DrainRun:
        place = self._node.open(pod, pid)
        run = DrainRun(self._node, pod, drain, place, self._ended, self.statistics.rolled)
        self._runs[pod.key] = run
        run.number = self._records.begin(run.record)
        run.begin(self._spawn)
        return run

    def _pace(self, pod: Pod) -> RollPace:
        live = {other.number for other in self._node.pods()} | {pod.number}
        self._paces = {number: pace for number, pace in self._paces.items() if number in live}
        return self._paces.setdefault(pod.number, RollPace())

    def _ended(self, run: DrainRun) -> None:
        self._records.end(run.number)
        self.statistics.add(run.record)


async def _follow(run: DrainRun, demand: Demand) -> AsyncGenerator[dict[str, Any], None]:
    phase: Phase | None = None
    earliest = 0.0
    latest = time.monotonic() + HEARTBEAT
    give_up = demand.deadline + DEADLINE_GRACE
    while not (demand.result or run.ended):
        now = time.monotonic()
        if now >= give_up:
            run.drain.expire(demand)
        elif run.drain.snapshot and (run.drain.phase is not phase or now >= earliest):
            phase = run.drain.phase
            earliest, latest = now + LINE_PAUSE, now + HEARTBEAT
            yield run.progress(demand)
        else:
            await run.changed(max(min(latest, give_up) - now, DEADLINE_GRACE))
    if demand.result:
        yield run.progress(demand)
