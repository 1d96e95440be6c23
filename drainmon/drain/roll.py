"""Replacing nginx's workers: the way, which worker to signal next, and the outcome."""

from collections.abc import Iterable, Set
from enum import StrEnum
from typing import NamedTuple

from drainmon.pods.pod import NginxProcess


class Outcome(StrEnum):
    QUIT = "quit"
    """SIGQUIT to the workers; the master starts a new one for each that exits."""
    RELOAD = "reload"
    """SIGHUP to the master, which reads its configuration again and starts new workers."""
    SKIPPED = "skipped"
    FAILED = "failed"


class Roll(NamedTuple):
    """The outcome of a roll, also while it runs. `stuck`: the workers do not react."""

    outcome: Outcome
    why: str = ""
    stuck: bool = False

    def __str__(self) -> str:
        return f"{self.outcome} ({self.why})" if self.why else self.outcome.value

    @property
    def helps(self) -> bool:
        """Whether workers have been or are being replaced."""
        return self.outcome in (Outcome.QUIT, Outcome.RELOAD)


STUCK = Roll(Outcome.FAILED, "nginx's workers do not react", stuck=True)
IGNORED = Roll(Outcome.FAILED, "nginx has not replaced its workers on SIGHUP, see its error log")
OUTRUN = Roll(Outcome.SKIPPED, "the drain ended before the first signal")
NO_WORKERS = Roll(Outcome.SKIPPED, "no nginx master has workers that accept")


def no_memory(used: int, room: int) -> Roll:
    """The roll that is skipped as a second configuration would not fit; both in bytes."""
    said = f"nginx has {used >> 20} MiB, {max(0, room) >> 20} MiB are left"
    return Roll(Outcome.SKIPPED, f"no memory for a second configuration: {said}")


def best(rolls: Iterable[Roll]) -> Roll:
    """The roll to report, of those of several masters; NO_WORKERS for none."""
    order = [Outcome.RELOAD, Outcome.QUIT, Outcome.FAILED, Outcome.SKIPPED]
    return min(
        rolls, key=lambda roll: (order.index(roll.outcome), not roll.stuck), default=NO_WORKERS
    )


def way(workers: int, udp: bool, reuseport: bool) -> Outcome:
    """The way to roll a master with this many accepting workers. Quitting costs nothing and cannot
    fail, but the last worker that accepts on a listener must not quit: with `reuseport` that is
    every worker. Where nginx serves UDP, workers quit all the same: a reload would break QUIC, and
    only the exit of workers shows that QUIC connections have ended."""
    return Outcome.QUIT if udp or (workers > 1 and not reuseport) else Outcome.RELOAD


def to_signal(
    accepting: Set[NginxProcess],
    old: Set[NginxProcess],
    signalled: Set[NginxProcess],
    all_now: bool = False,
) -> Set[NginxProcess]:
    """The `old` workers to signal now: all but one, and that one when a new worker accepts, or with
    `all_now`."""
    left = (old & accepting) - signalled
    if not left or accepting - old or all_now:
        return left
    return left - {max(left, key=lambda worker: worker.pid)}
