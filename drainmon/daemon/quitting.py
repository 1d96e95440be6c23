"""Replacing nginx's workers by telling them to quit (SIGQUIT): the master starts a new one for each
that has ended. No configuration is read, no memory needed, and somebody accepts all the time."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable

from drainmon.drain.roll import STUCK, Outcome, Roll, to_tell
from drainmon.pods.nginx import is_running, workers
from drainmon.pods.pod import NginxProcess

REACT_WITHIN = 10.0
"""Seconds for the first worker to leave its listeners; a busy or throttled one may take a while."""

HELD_AFTER = 1.5
"""Seconds after which those told are held by connections: keepalive_min_timeout is shorter."""

SOON = 1.0
LOOK_SOON, LOOK_LATER = 0.02, 0.1
"""Seconds between looks, until SOON has passed and after: streams may hold the workers for long."""

Tell = Callable[[NginxProcess, signal.Signals], None]
"""Signals a process. Raises OSError when it cannot be; ProcessLookupError when it has ended."""


async def replace(
    master: NginxProcess,
    old: frozenset[NginxProcess],
    tell: Tell,
    udp: bool,
    lacks_memory: Callable[[], Awaitable[Roll | None]],
) -> Roll:
    """Returns when all of the `old` workers have been told, or have ended; how long that takes,
    connections may decide. When those told are held by theirs, the last one is replaced by a
    reload, unless nginx `lacks_memory`; where it serves `udp` the last one is told, too. Raises
    OSError."""
    all_now = udp and len(old) == 1
    told: set[NginxProcess] = set()
    began = last = time.monotonic()
    hurried = False
    while True:
        accepting = await asyncio.to_thread(workers, master)
        for worker in to_tell(accepting, old, told, all_now):
            with contextlib.suppress(ProcessLookupError):
                tell(worker, signal.SIGQUIT)
            told.add(worker)
            last = time.monotonic()
        left = (old & accepting) - told
        waited = time.monotonic() - began
        if told and not left and told <= accepting:
            if time.monotonic() - last > REACT_WITHIN:
                return STUCK
        elif not left:
            # By itself the master replaces only those that have ended.
            reloaded = len(accepting - old) > len(old) - sum(map(is_running, old))
            return Roll(Outcome.RELOAD if reloaded else Outcome.QUIT)
        if left and waited > HELD_AFTER and not hurried:
            hurried, all_now = True, udp
            if not udp and await lacks_memory() is None:
                tell(master, signal.SIGHUP)
        await asyncio.sleep(LOOK_SOON if waited < SOON else LOOK_LATER)
