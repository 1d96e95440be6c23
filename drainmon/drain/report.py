"""What a drain tells: a line of progress, who is left, and the record of how it went."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from drainmon.drain.machine import Drain, Phase
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


def progress(drain: Drain, now: float) -> dict[str, Any]:
    """The line that a waiting caller gets: phase, what is in flight, and why it waits. With
    `result` in the last one, and for a deadline who is left."""
    line: dict[str, Any] = {
        "phase": drain.phase.value,
        "in_flight": len(drain.in_flight),
        "by_state": format_states(drain.tally.in_flight_by_state()),
        "elapsed": round(now - drain.started, 3),
        "reason": drain.reason(now),
    }
    if drain.phase is Phase.DRAINED:
        line["result"] = "drained"
    elif drain.phase is Phase.DEADLINE:
        line["result"] = "deadline"
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
    since then. `result` is None while it runs, else drained, deadline, abandoned or failed.
    `reason` says what it waits for, or how it ended; `timeout` is the last caller's deadline. What
    is not known of Kubernetes' namespace, name and pod UID is empty."""

    pod: str
    netns: int
    started: float
    namespace: str = ""
    name: str = ""
    uid: str = ""
    phases: list[tuple[str, float]] = field(default_factory=list)
    peak_in_flight: int = 0
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
        self.in_flight = len(drain.in_flight)
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        if drain.snapshot is not None:
            self.by_state = format_states(drain.snapshot.by_state())
        if drain.last_arrival is not None and drain.last_arrival > drain.started:
            self.last_arrival = round(drain.last_arrival - drain.started, 3)
        self.rolls = [round(roll - drain.started, 3) for roll in drain.rolls]
        self.reason, self.timeout = drain.reason(now), round(drain.policy.timeout, 3)
        self.seconds = round(now - drain.started, 3)
        self.remaining = remaining(drain, now) if drain.phase is Phase.DEADLINE else []
