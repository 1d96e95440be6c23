"""Having nginx replace its workers, and making sure that it did.

SIGHUP to the master starts new workers and lets the old ones finish, without the listener ever
closing. With a broken configuration nginx ignores it; then SIGQUIT to the old workers does the
same at the price of a moment without workers, as the master starts new ones.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable

from drainmon.pods.nginx import is_master, workers
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.pods.signals import send

log = logging.getLogger(__name__)

VERIFY_FOR = 3.0
"""Seconds for new workers to appear; a large configuration takes a while to read."""

VERIFY_EVERY = 0.05


async def roll(pod: Pod, verify: Callable[[], None]) -> str:
    """Replace the workers of every nginx master of the pod; says in a sentence how it went.

    `verify` is called before each signal, and raises PermissionError when it must not be sent.
    """
    masters = [nginx for nginx in pod.masters if is_master(nginx)]
    if not masters:
        return "no nginx master is there to replace its workers"
    before = {master: await asyncio.to_thread(workers, master) for master in masters}
    told = [master for master in masters if _try(verify, pod, master, signal.SIGHUP)]
    if not told:
        return "nginx could not be told to replace its workers, see the daemon's log"
    ignored = await _until_new_workers(told, before)
    if not ignored:
        return "nginx's old workers finish what they have"
    old = [worker for master in ignored for worker in before[master]]
    if not old:
        return "nginx starts no new workers, see its error log"
    for worker in old:
        _try(verify, pod, worker, signal.SIGQUIT)
    log.warning("nginx ignored SIGHUP", extra={"pod": pod.label})
    return "nginx ignored SIGHUP (see its error log), so its workers were told to quit"


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


def _try(
    verify: Callable[[], None], pod: Pod, process: NginxProcess, number: signal.Signals
) -> bool:
    try:
        verify()
        send(process, number, pod)
    except OSError as error:
        log.warning("cannot signal nginx", extra={"nginx_pid": process.pid, "error": str(error)})
        return False
    return True
