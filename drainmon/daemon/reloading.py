"""Replacing nginx's workers by SIGHUP: the master reads its configuration again, and new workers
accept before the old ones quit. nginx ignores SIGHUP when the configuration is broken."""

import asyncio
import signal
import time

from drainmon.daemon.quitting import LOOK_SOON, REACT_WITHIN, Send
from drainmon.drain.roll import IGNORED, STUCK, Outcome, Roll
from drainmon.pods.nginx import seconds_to_start, workers
from drainmon.pods.pod import NginxProcess
from drainmon.procfs import process

IDLE = 3.0
"""Seconds without CPU time after which the master is not reading its configuration."""

AT_LEAST, STARTS = 30.0, 2
"""Most time to read the configuration: these seconds, and a multiple of what the start took."""


async def replace(master: NginxProcess, old: frozenset[NginxProcess], send: Send) -> Roll:
    """Replace the `old` workers. Returns when one of them has closed its listeners, or when nginx
    starts no new ones. Raises OSError."""
    limit = AT_LEAST + STARTS * seconds_to_start(master)
    used = process.cpu_time(master.pid)
    send(master, signal.SIGHUP)
    began = worked = time.monotonic()
    replaced: float | None = None
    while True:
        accepting = await asyncio.to_thread(workers, master)
        now = time.monotonic()
        if accepting - old:
            replaced = replaced or now
            if not old <= accepting:
                return Roll(Outcome.RELOAD)
            if now - replaced > REACT_WITHIN:
                return STUCK
        else:
            before, used = used, process.cpu_time(master.pid)
            if used != before:
                worked = now
            if now - worked > IDLE or now - began > limit:
                return IGNORED
        await asyncio.sleep(LOOK_SOON)
