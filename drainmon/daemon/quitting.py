"""Replacing nginx's workers by SIGQUIT: the master starts a new one for each that exits. No
configuration is read, no memory needed, and at least one worker always accepts."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable

from drainmon.drain.roll import STUCK, Outcome, Roll, to_signal
from drainmon.pods.nginx import is_running, workers
from drainmon.pods.pod import NginxProcess

REACT_WITHIN = 10.0
"""Seconds for the first worker to close its listeners; a busy or throttled one may be slow."""

HELD_AFTER = 1.5
"""Seconds after which connections hold the signalled workers: keepalive_min_timeout is shorter."""

SOON = 1.0
LOOK_SOON, LOOK_LATER = 0.02, 0.1
"""Seconds between looks, in the first SOON seconds and later: streams may hold workers for long."""

Send = Callable[[NginxProcess, signal.Signals], None]
"""Signals a process. Raises OSError when that fails, ProcessLookupError when it has ended."""


async def replace(
    master: NginxProcess,
    old: frozenset[NginxProcess],
    send: Send,
    udp: bool,
    lacks_memory: Callable[[], Awaitable[Roll | None]],
) -> Roll:
    """Replace the `old` workers. Returns when all have been signalled or have ended, which their
    connections may delay. While connections hold the signalled workers, a reload replaces the last
    one, unless nginx `lacks_memory`; with `udp` the last one is signalled, too. Raises OSError."""
    all_now = udp and len(old) == 1
    signalled: set[NginxProcess] = set()
    began = last = time.monotonic()
    hurried = False
    while True:
        accepting = await asyncio.to_thread(workers, master)
        for worker in to_signal(accepting, old, signalled, all_now):
            with contextlib.suppress(ProcessLookupError):
                send(worker, signal.SIGQUIT)
            signalled.add(worker)
            last = time.monotonic()
        left = (old & accepting) - signalled
        waited = time.monotonic() - began
        if signalled and not left and signalled <= accepting:
            if time.monotonic() - last > REACT_WITHIN:
                return STUCK
        elif not left:
            # Without a reload the master replaces only workers that have ended.
            reloaded = len(accepting - old) > len(old) - sum(map(is_running, old))
            return Roll(Outcome.RELOAD if reloaded else Outcome.QUIT)
        if left and waited > HELD_AFTER and not hurried:
            hurried, all_now = True, udp
            if not udp and await lacks_memory() is None:
                send(master, signal.SIGHUP)
        await asyncio.sleep(LOOK_SOON if waited < SOON else LOOK_LATER)
