"""Having nginx replace its workers, and making sure that it did.

SIGHUP to the master starts new workers and lets the old ones finish, without the listener ever
closing. With a broken configuration nginx ignores it; then SIGQUIT to the old workers does the
same at the price of a moment without workers, as the master starts new ones.
"""

import asyncio
import logging
import signal
import time

from drainmon.pods.nginx import workers
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.pods.signals import send

log = logging.getLogger(__name__)

VERIFY_FOR = 3.0
"""Seconds for new workers to appear; a large configuration takes a while to read."""

VERIFY_EVERY = 0.05


async def roll(pod: Pod) -> str:
    """Replace the workers of every nginx master of the pod; says in a sentence how it went."""
    masters = pod.masters
    if not masters:
        return "no nginx is left to replace its workers"
    before = {master: await asyncio.to_thread(workers, master) for master in masters}
    told = [master for master in masters if _try(master, signal.SIGHUP)]
    if not told:
        return "nginx could not be told to replace its workers, see the daemon's log"
    ignored = await _until_new_workers(told, before)
    for master in ignored:
        for worker in before[master]:
            _try(worker, signal.SIGQUIT)
    if ignored:
        log.warning("nginx ignored SIGHUP", extra={"pod": pod.label})
        return "nginx ignored SIGHUP (see its error log), so its workers were told to quit"
    return "nginx's old workers finish what they have"


async def _until_new_workers(
    masters: list[NginxProcess], before: dict[NginxProcess, tuple[NginxProcess, ...]]
) -> list[NginxProcess]:
    """The masters that have no new worker when time is up."""
    deadline = time.monotonic() + VERIFY_FOR
    waiting = masters
    while True:
        waiting = [
            master
            for master in waiting
            if not set(await asyncio.to_thread(workers, master)) - set(before[master])
        ]
        if not waiting or time.monotonic() > deadline:
            return waiting
        await asyncio.sleep(VERIFY_EVERY)


def _try(process: NginxProcess, number: signal.Signals) -> bool:
    try:
        send(process, number)
    except OSError as error:
        log.warning("cannot signal nginx", extra={"nginx_pid": process.pid, "error": str(error)})
        return False
    return True
