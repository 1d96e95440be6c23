"""Replacing nginx's workers by having the master read its configuration again (SIGHUP): the new
ones accept before the old ones quit. nginx ignores it when the configuration is broken."""

import asyncio
import signal
import time

from drainmon.daemon.quitting import LOOK_SOON, REACT_WITHIN, Tell
from drainmon.drain.roll import IGNORED, STUCK, Outcome, Roll
from drainmon.pods.nginx import seconds_to_start, workers
from drainmon.pods.pod import NginxProcess
from drainmon.procfs import process

IDLE = 3.0
"""Seconds without work of the master's after which it is not reading its configuration."""

AT_LEAST, STARTS = 30.0, 2
"""Reading it may take so many seconds, and so many times what the start took."""


async def replace(master: NginxProcess, old: frozenset[NginxProcess], tell: Tell) -> Roll:
    """Returns when one of the `old` workers has left its listeners. When nginx starts no new ones
    the old ones go on as before. Raises OSError."""
    limit = AT_LEAST + STARTS * seconds_to_start(master)
    used = process.cpu_time(master.pid)
    tell(master, signal.SIGHUP)
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
