"""Checks the daemon's privileges when it starts."""

import logging
from collections.abc import Iterable
from pathlib import Path

from drainmon.facts import capabilities, host
from drainmon.facts.fact import Status

log = logging.getLogger(__name__)

ROOT = Path("/")


def missing() -> str:
    """The names of needed capabilities that this process lacks; empty for none."""
    return capabilities.named(capabilities.missing(capabilities.effective(ROOT)))


def require_sight(names: Iterable[str]) -> None:
    """Log what hides nginx. Raise PermissionError where no nginx can be watched (the fact
    "processes" of `drainmon check`): without SYS_PTRACE only an nginx of the daemon's own user can
    be, and one has to run already."""
    seen = host.processes(ROOT, capabilities.effective(ROOT), frozenset(names))
    if seen.status is Status.MISSING:
        raise PermissionError(f"cannot watch nginx: {seen.found}; {seen.advice}")
    if lacking := missing():
        log.warning("capabilities missing", extra={"missing": lacking, "processes": seen.found})
    elif seen.status is Status.DEGRADED:
        log.warning("processes out of sight", extra={"processes": seen.found, "why": seen.advice})
