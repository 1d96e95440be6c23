"""The node's drains: at most one a pod, followed by any number of callers."""

import time
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from drainmon.daemon.drain_run import DrainRun, Verify
from drainmon.daemon.node import Node, Spawn
from drainmon.drain.machine import Drain, Phase
from drainmon.drain.policy import Policy
from drainmon.drain.report import DrainRecord, remaining
from drainmon.model.ignored import NOTHING, Ignored
from drainmon.pods.pod import Pod, PodKey

RECORDS_KEPT = 1000

HEARTBEAT = 1.0
"""Seconds after which a caller gets a line although nothing has changed."""

LINE_PAUSE = 0.2
"""Seconds between two lines to a caller at the least, unless the phase has changed."""

DEADLINE_GRACE = 0.03
"""Seconds that a drain gets to say itself that its time is over, before its caller is told."""


class Drains:
    """Begins drains, lets callers follow them, ends those that nobody follows. What `ignored` says
    is ignored by them all."""

    def __init__(self, node: Node, spawn: Spawn, ignored: Ignored = NOTHING) -> None:
        self._node = node
        self._spawn = spawn
        self._ignored = ignored
        self._runs: dict[PodKey, DrainRun] = {}
        self._records: deque[DrainRecord] = deque(maxlen=RECORDS_KEPT)

    def records(self) -> list[DrainRecord]:
        """Drains that run or have ended, the latest first."""
        return [*reversed(self._records)]

    async def drain(
        self, pod: Pod, pid: int, policy: Policy, verify: Verify
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Drain a pod, reached through the namespace of one of its processes. A drain that runs
        is joined, with a deadline of the caller's own. `verify` raises PermissionError when the
        caller is not who asked any more; nothing is signalled without one who is. Yields lines of
        progress, the last one with `result`; none has it when the drain failed. Raises OSError
        when the process is gone.
        """
        policy = replace(policy, ignored=policy.ignored | self._ignored)
        started = time.monotonic() - policy.elapsed
        run = self._runs.get(pod.key)
        if run is None or run.ended:
            run = self._begin(pod, pid, Drain(policy, started))
        else:
            run.drain.join(policy, started)
        run.followers.append(verify)
        try:
            async for line in _follow(run, started + policy.timeout):
                yield line
        finally:
            run.followers.remove(verify)
            if not run.followers:
                run.abandon()
                if self._runs.get(pod.key) is run:
                    del self._runs[pod.key]

    def _begin(self, pod: Pod, pid: int, drain: Drain) -> DrainRun:
        run = DrainRun(self._node, pod, drain, self._node.open(pod, pid))
        self._records.append(run.record)
        self._runs[pod.key] = run
        run.begin(self._spawn)
        return run


async def _follow(run: DrainRun, deadline: float) -> AsyncGenerator[dict[str, Any], None]:
    phase: Phase | None = None
    earliest = 0.0
    latest = time.monotonic() + HEARTBEAT
    while not run.ended:
        now = time.monotonic()
        if now >= deadline + DEADLINE_GRACE:
            yield run.progress() | {
                "phase": Phase.DEADLINE.value,
                "result": Phase.DEADLINE.value,
                "remaining": remaining(run.drain, now),
            }
            return
        if run.drain.snapshot and (run.drain.phase is not phase or now >= earliest):
            phase = run.drain.phase
            earliest, latest = now + LINE_PAUSE, now + HEARTBEAT
            yield run.progress()
        else:
            due = min(latest, deadline + DEADLINE_GRACE)
            await run.changed(max(due - now, DEADLINE_GRACE))
    if run.drain.phase.value == run.record.result:
        yield run.progress()
