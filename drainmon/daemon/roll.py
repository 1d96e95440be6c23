"""Having nginx replace its workers, and making sure that it did.

SIGHUP to the master starts new workers and lets the old ones finish, without the listener ever
closing. With a broken configuration nginx ignores it; then SIGQUIT to the old workers does the
same at the price of a moment without workers, as the master starts new ones.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

from drainmon.pods.pod import NginxProcess, Pod
from drainmon.pods.signals import send

log = logging.getLogger(__name__)

VERIFY_FOR = 3.0
"""Seconds for new workers to appear; a large configuration takes a while to read."""

VERIFY_EVERY = 0.05


async def roll(pod: Pod, rescan: Callable[[], Awaitable[Pod]]) -> str:
    """Replace the workers of every nginx master of the pod; says in a sentence how it went.

    `rescan` gives the pod as it is now.
    """
    if not pod.masters:
        return "no nginx left to replace its workers"
    signalled = [master for master in pod.masters if _try(master, signal.SIGHUP)]
    missing = await _until_new_workers(signalled, pod, rescan)
    for master in missing:
        for worker in pod.workers(master):
            _try(worker, signal.SIGQUIT)
    if missing:
        log.warning("SIGHUP brought no new workers, sent SIGQUIT to the old ones",
                    extra={"pod": pod.label})  # fmt: skip
        return "nginx ignored SIGHUP (see its error log), so its workers were told to quit"
    return "nginx's old workers finish what they have"


async def _until_new_workers(
    masters: list[NginxProcess], before: Pod, rescan: Callable[[], Awaitable[Pod]]
) -> list[NginxProcess]:
    """The masters that have no new worker when time is up."""
    waiting = list(masters)
    for _ in range(round(VERIFY_FOR / VERIFY_EVERY)):
        now = await rescan()
        waiting = [m for m in waiting if not set(now.workers(m)) - set(before.workers(m))]
        if not waiting:
            break
        await asyncio.sleep(VERIFY_EVERY)
    return waiting


def _try(process: NginxProcess, number: signal.Signals) -> bool:
    try:
        send(process, number)
    except OSError as error:
        log.warning("cannot signal nginx: %s", error, extra={"nginx_pid": process.pid})
        return False
    return True
