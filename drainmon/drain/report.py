"""Reports of a drain: progress lines, remaining connections, and the drain record."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from drainmon.drain.demand import Demand, Phase
from drainmon.drain.machine import Drain
from drainmon.drain.newcomers import newcomers
from drainmon.drain.reasons import reason, uncounted
from drainmon.model.snapshot import format_address, format_states
from drainmon.model.standing import UNREACHABLE_AFTER, Socket, Standing

REMAINING_SHOWN = 20

NEWCOMERS_SHOWN = 3
"""Fewer, when clients are still being sent: other connections replace these in a moment."""

PORTS_REPORTED = 64
"""Ports in a progress line at most; a client passes them to the next daemon."""


def describe_socket(
    socket: Socket, now: float, unreachable_after: float = UNREACHABLE_AFTER
) -> dict[str, Any]:
    """One connection for JSON; times in seconds, null when they are not known."""
    standing = socket.standing(unreachable_after)
    idle = min((t for t in (socket.idle_in, socket.idle_out) if t is not None), default=None)
    return {
        "remote": format_address(socket.remote, socket.remote_port),
        "local": format_address(socket.local, socket.local_port),
        "state": socket.state.name,
        "age": None if socket.opened is None else max(0.0, round(now - socket.opened, 3)),
        "idle": None if idle is None else round(idle, 3),
        "unsent": socket.unsent,
        "bytes_received": socket.bytes_received,
        "in_flight": standing is Standing.IN_FLIGHT,
        "standing": standing.value,
        "probe": socket.probe,
    }


def progress(drain: Drain, demand: Demand, now: float) -> dict[str, Any]:
    """A progress line for a client: phase, what is in flight, and why the drain waits. The last
    line has `result`, at a deadline also `remaining`. A client passes `rolls`, `rolled` and `ports`
    to the next daemon."""
    line: dict[str, Any] = {
        "phase": (demand.result or drain.phase).value,
        "in_flight": len(drain.in_flight),
        "by_state": format_states(drain.tally.flying),
        "elapsed": round(now - demand.started, 3),
        "reason": reason(drain, demand, now),
    }
    line |= {name: value for name, value in apart(drain).items() if value}
    if drain.ports:
        line["ports"] = sorted(drain.ports)[:PORTS_REPORTED]
    if drain.rolls.done:
        line["rolls"] = drain.rolls.done
        line["rolled"] = max(0.0, round(drain.rolls.began[-1] - demand.started, 3))
    if drain.rolls.latest:
        line["roll"] = str(drain.rolls.latest)
    if demand.result:
        line["result"] = demand.result.value
    if demand.result is Phase.DEADLINE:
        line["remaining"] = remaining(drain, demand, now)
    return line


def apart(drain: Drain) -> dict[str, Any]:
    """What the states do not list: connections that the drain does not wait for, by reason, those
    in another network namespace, workers that may still serve UDP clients, and what cannot be
    counted."""
    return {
        "unused": drain.tally.unused,
        "unreachable": drain.tally.unreachable,
        "elsewhere": drain.tally.elsewhere,
        "udp_workers": drain.udp_workers,
        "uncounted": uncounted(drain),
    }


def remaining(drain: Drain, demand: Demand, now: float) -> list[dict[str, Any]]:
    """The first connections that are in flight."""
    shown = NEWCOMERS_SHOWN if newcomers(drain, demand, now) else REMAINING_SHOWN
    return [
        describe_socket(socket, now, drain.rules.unreachable_after)
        for socket in itertools.islice(drain.in_flight, shown)
    ]


@dataclass
class DrainRecord:
    """The record of one drain. `started` is wall-clock time (Unix seconds); all other times are
    seconds since then. `min_wait`, `quiet` and `timeout` are the longest of all clients, the
    timeout as its user gave it. `peak_by_state` is of the moment with the most connections in
    flight, `by_state` of the end. `unused`, `unreachable`, `elsewhere`, `udp_workers` and
    `uncounted` are those of `apart`, `cut` counts connections in use that ended with a process of
    nginx's. `rolls` are the times at which nginx's workers were replaced, `roll` is the outcome of
    the last roll: quit, reload, skipped (why) or failed (why). `result` is None while the drain
    runs, else the last client's result, or abandoned (no client waits), gone or cut (nginx has
    ended, and no client waits), failed (an error of the daemon's). `reason` says what the drain
    waits for, or how it ended. `remaining` are, at a deadline, the first connections in flight:
    fewer where clients are still being sent to the pod. Kubernetes' namespace, name and pod UID are
    empty where unknown."""

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
    roll: str = ""
    result: str | None = None
    reason: str = ""
    timeout: float = 0.0
    seconds: float = 0.0
    remaining: list[dict[str, Any]] = field(default_factory=list)
    unused: int = 0
    unreachable: int = 0
    elsewhere: int = 0
    udp_workers: int = 0
    uncounted: list[str] = field(default_factory=list)
    cut: int = 0

    def update(self, drain: Drain, now: float) -> None:
        """Bring the record up to date."""
        if not self.phases or self.phases[-1][0] != drain.phase:
            self.phases.append((drain.phase.value, round(now - drain.started, 3)))
        for demand in drain.demands:
            self.min_wait = max(self.min_wait, round(demand.min_wait_until - drain.started, 3))
            self.quiet = max(self.quiet, demand.policy.quiet)
            given = demand.started + demand.policy.given_timeout
            self.timeout = max(self.timeout, round(given - drain.started, 3))
        if drain.snapshot is not None:
            self.in_flight = len(drain.in_flight)
            self.by_state = format_states(drain.snapshot.by_state())
            if self.in_flight > self.peak_in_flight or not self.peak_by_state:
                self.peak_in_flight, self.peak_by_state = self.in_flight, self.by_state
            for name, value in apart(drain).items():
                setattr(self, name, value)
            self.cut = drain.nginx.cut
        # Without arrivals, `last_arrival` may be when the source began to look.
        last = drain.last_arrival or drain.started
        if self.arrivals and last > drain.started:
            self.last_arrival = round(last - drain.started, 3)
        self.rolls = [round(began - drain.started, 3) for began in drain.rolls.began]
        self.roll = str(drain.rolls.latest or "")
        client = drain.last_client
        self.reason = reason(drain, client, now)
        self.seconds = round(now - drain.started, 3)
        self.remaining = remaining(drain, client, now) if drain.phase is Phase.DEADLINE else []
