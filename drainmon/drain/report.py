"""What a drain tells: a line of progress, who is left, and the record of how it went."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from drainmon.drain.demand import Demand, Phase
from drainmon.drain.machine import Drain
from drainmon.drain.reasons import reason
from drainmon.model.snapshot import Socket, format_address, format_states

REMAINING_SHOWN = 20


def describe_socket(socket: Socket, now: float) -> dict[str, Any]:
    """One connection for JSON; times in seconds, age null when it is not known."""
    return {
        "remote": format_address(socket.remote, socket.remote_port),
        "local": format_address(socket.local, socket.local_port),
        "state": socket.state.name,
        "age": None if socket.opened is None else round(now - socket.opened, 3),
        "idle": round(min(socket.idle_in, socket.idle_out), 3),
        "unsent": socket.unsent,
        "bytes_received": socket.bytes_received,
        "in_flight": socket.in_flight,
        "probe": socket.probe,
    }


def progress(drain: Drain, demand: Demand, now: float) -> dict[str, Any]:
    """The line that a waiting caller gets: phase, what is in flight, and why it waits. With
    `result` in the last one, and for a deadline who is left. `rolls` and `rolled` are for the
    caller to tell the next daemon."""
    line: dict[str, Any] = {
        "phase": (demand.told or drain.phase).value,
        "in_flight": len(drain.in_flight),
        "by_state": format_states(drain.tally.in_flight_by_state()),
        "elapsed": round(now - demand.started, 3),
        "reason": reason(drain, demand, now),
    }
    if drain.rolls_done:
        line["rolls"] = drain.rolls_done
        line["rolled"] = max(0.0, round(drain.rolls[-1] - demand.started, 3))
    if demand.told:
        line["result"] = demand.told.value
    if demand.told is Phase.DEADLINE:
        line["remaining"] = remaining(drain, now)
    return line


def remaining(drain: Drain, now: float) -> list[dict[str, Any]]:
    """The first connections that are still in flight."""
    return [
        describe_socket(socket, now)
        for socket in itertools.islice(drain.in_flight, REMAINING_SHOWN)
    ]


@dataclass
class DrainRecord:
    """How one drain went. `started` is wall-clock time (Unix seconds); all others are seconds
    since then. `min_wait`, `quiet` and `timeout` are the longest that was asked for.
    `peak_by_state` is of the moment with the most connections in flight, `by_state` of the end.
    `result` is None while it runs, else what the last caller was told, or abandoned (nobody waits
    any more), gone (nginx has ended, and nobody waits), failed (the daemon could not go on);
    `reason` says what it waits for, or how it ended. `remaining` are, at a deadline, the first of
    those in flight. What is not known of Kubernetes' namespace, name and pod UID is empty."""

    pod: str
    netns: int
    started: float
    namespace: str = ""
    name: str = ""
    uid: str = ""
    phases: list[tuple[str, float]] = field(default_factory=list)
    min_wait: float = 0.0
    quiet: float = 0.0
    peak_in_flight: int = 0
    peak_by_state: dict[str, int] = field(default_factory=dict)
    in_flight: int = 0
    by_state: dict[str, int] = field(default_factory=dict)
    arrivals: int = 0
    last_arrival: float | None = None
    rolls: list[float] = field(default_factory=list)
    result: str | None = None
    reason: str = ""
    timeout: float = 0.0
    seconds: float = 0.0
    remaining: list[dict[str, Any]] = field(default_factory=list)

    def update(self, drain: Drain, now: float) -> None:
        """Take over where the drain is now."""
        if not self.phases or self.phases[-1][0] != drain.phase:
            self.phases.append((drain.phase.value, round(now - drain.started, 3)))
        for demand in drain.demands:
            self.min_wait = max(self.min_wait, round(demand.min_wait_until - drain.started, 3))
            self.quiet = max(self.quiet, demand.policy.quiet)
            self.timeout = max(self.timeout, round(demand.deadline - drain.started, 3))
        if drain.snapshot is not None:
            self.in_flight = len(drain.in_flight)
            self.by_state = format_states(drain.snapshot.by_state())
            if self.in_flight > self.peak_in_flight or not self.peak_by_state:
                self.peak_in_flight, self.peak_by_state = self.in_flight, self.by_state
        # Where nothing was counted, it may be when the source began to look.
        last = drain.last_arrival or drain.started
        if self.arrivals and last > drain.started:
            self.last_arrival = round(last - drain.started, 3)
        self.rolls = [round(roll - drain.started, 3) for roll in drain.rolls]
        self.reason = reason(drain, drain.last_caller, now)
        self.seconds = round(now - drain.started, 3)
        self.remaining = remaining(drain, now) if drain.phase is Phase.DEADLINE else []
