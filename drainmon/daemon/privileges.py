"""What the daemon may not do, said when it starts."""

import logging
from collections.abc import Iterable
from pathlib import Path

from drainmon.facts import capabilities, host
from drainmon.facts.fact import Status

log = logging.getLogger(__name__)

ROOT = Path("/")


def missing() -> str:
    """The names of the needed capabilities that this process does not have; empty for none."""
    return capabilities.named(capabilities.missing(capabilities.effective(ROOT)))


def require_sight(names: Iterable[str]) -> None:
    """Log what keeps nginx out of sight. Raise PermissionError where none could be watched, as
    `drainmon check` finds it: without SYS_PTRACE only the daemon's own user's can be, and one of
    those has to run already."""
    seen = host.processes(ROOT, capabilities.effective(ROOT), frozenset(names))
    if seen.status is Status.MISSING:
        raise PermissionError(f"cannot watch nginx: {seen.found}; {seen.advice}")
    if lacking := missing():
        log.warning("capabilities missing", extra={"missing": lacking, "processes": seen.found})
    elif seen.status is Status.DEGRADED:
        log.warning("processes out of sight", extra={"processes": seen.found, "why": seen.advice})
