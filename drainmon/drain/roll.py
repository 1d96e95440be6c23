"""Replacing nginx's workers: in which way, whom to tell next, and how it went."""

from collections.abc import Iterable, Set
from enum import StrEnum
from typing import NamedTuple

from drainmon.pods.pod import NginxProcess


class Outcome(StrEnum):
    QUIT = "quit"
    """The workers were told to quit; the master starts one for each that has."""
    RELOAD = "reload"
    """The master was told to read its configuration again, which starts new workers."""
    SKIPPED = "skipped"
    FAILED = "failed"


class Roll(NamedTuple):
    """How a roll went, or goes. `stuck`: the workers do not react."""

    outcome: Outcome
    why: str = ""
    stuck: bool = False

    def __str__(self) -> str:
        return f"{self.outcome} ({self.why})" if self.why else self.outcome.value

    @property
    def helps(self) -> bool:
        """Whether workers have been, or are being replaced."""
        return self.outcome in (Outcome.QUIT, Outcome.RELOAD)


STUCK = Roll(Outcome.FAILED, "nginx's workers do not react", stuck=True)
IGNORED = Roll(Outcome.FAILED, "nginx has not replaced its workers on SIGHUP, see its error log")
NO_WORKERS = Roll(Outcome.SKIPPED, "no nginx master has workers that accept")


def no_memory(used: int, room: int) -> Roll:
    """A second configuration would not fit; both in bytes."""
    said = f"nginx has {used >> 20} MiB, {max(0, room) >> 20} MiB are left"
    return Roll(Outcome.SKIPPED, f"no memory for a second configuration: {said}")


def best(rolls: Iterable[Roll]) -> Roll:
    """The roll to report of several masters'; NO_WORKERS where there is none."""
    order = [Outcome.RELOAD, Outcome.QUIT, Outcome.FAILED, Outcome.SKIPPED]
    return min(
        rolls, key=lambda roll: (order.index(roll.outcome), not roll.stuck), default=NO_WORKERS
    )


def way(workers: int, udp: bool, reuseport: bool) -> Outcome:
    """How a master with so many accepting workers is rolled. Quitting costs nothing and cannot
    fail, but the last worker that accepts on a listener must not quit: with `reuseport` that is
    every worker. Where nginx serves UDP, workers quit all the same: a reload would break QUIC, and
    nothing else shows whether QUIC connections have ended."""
    return Outcome.QUIT if udp or (workers > 1 and not reuseport) else Outcome.RELOAD


def to_tell(
    accepting: Set[NginxProcess],
    old: Set[NginxProcess],
    told: Set[NginxProcess],
    all_now: bool = False,
) -> Set[NginxProcess]:
    """Who of the `old` workers is told to quit now. All but one, and that one when a new worker
    accepts, or when all are to be told `all_now`."""
    left = (old & accepting) - told
    if not left or accepting - old or all_now:
        return left
    return left - {max(left, key=lambda worker: worker.pid)}
