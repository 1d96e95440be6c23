"""Has nginx replace its workers, and verifies that it did."""

import asyncio
import logging
import signal
from collections.abc import Callable

from drainmon.daemon import quitting, reloading
from drainmon.drain.roll import Outcome, Roll, best, no_memory, way
from drainmon.pods.held import Held
from drainmon.pods.memory import room, used_by
from drainmon.pods.nginx import masters_of, workers
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.pods.signals import send

log = logging.getLogger(__name__)


async def replace_workers(
    pod: Pod, held: Held, verify: Callable[[], None], goes: Callable[[Roll], None]
) -> Roll:
    """Replace the workers of every master of the pod that has accepting workers. During a binary
    upgrade there are two masters, and an old one without workers would start them again.

    `held` is what nginx listens on. `verify` is called before each signal, and raises
    PermissionError when the signal must not be sent. `goes` is called as soon as the way to roll is
    known; the roll may end much later.
    """
    udp = bool(held.udp)

    def signal_verified(process: NginxProcess, number: signal.Signals) -> None:
        verify()
        send(process, number, pod)

    async def replace(master: NginxProcess, old: frozenset[NginxProcess]) -> Roll:
        try:
            if way(len(old), udp, held.reuseport) is Outcome.QUIT:
                goes(Roll(Outcome.QUIT))
                return await quitting.replace(
                    master, old, signal_verified, udp, lambda: _lacks_memory(master, old)
                )
            if lacking := await _lacks_memory(master, old):
                return lacking
            goes(Roll(Outcome.RELOAD))
            return await reloading.replace(master, old, signal_verified)
        except (FileNotFoundError, ProcessLookupError):
            return Roll(Outcome.FAILED, "nginx has ended")
        except OSError as error:
            return Roll(Outcome.FAILED, f"cannot signal nginx: {error}")

    found = {master: await asyncio.to_thread(workers, master) for master in masters_of(pod)}
    async with asyncio.TaskGroup() as tasks:
        rolls = [tasks.create_task(replace(*one)) for one in found.items() if one[1]]
    ended = best(task.result() for task in rolls)
    level = logging.INFO if ended.helps else logging.WARNING
    log.log(level, "roll ended", extra={"pod": pod.label, "roll": str(ended)})
    return ended


async def _lacks_memory(master: NginxProcess, old: frozenset[NginxProcess]) -> Roll | None:
    """The roll to report when a second configuration would not fit into memory, else None."""
    used = await asyncio.to_thread(used_by, [master, *old])
    left = await asyncio.to_thread(room, master.pid)
    return None if left is None or used <= left else no_memory(used, left)
