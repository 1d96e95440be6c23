"""Why a drain still waits, or how it ended, for people. The client has the same words."""

from drainmon.drain.demand import Demand, Phase
from drainmon.drain.machine import Drain
from drainmon.drain.newcomers import STILL_SENT, are_sent, newcomers
from drainmon.drain.roll import STUCK, Outcome

CUT = "nginx was stopped while connections were in flight"
ENDED = "nginx has ended"
FEW = "at most exit-at connections are in flight"
NOT_SEEN = "no nginx seen here: every listening port was counted"
ROLLING = "waiting for nginx to replace its workers"
UDP = "waiting for workers that may still serve UDP clients"
WAITING = "waiting for connections in flight to end"


def reason(drain: Drain, demand: Demand, now: float) -> str:
    """The reason for one of the clients, at the monotonic time `now`."""
    match demand.result or drain.phase:
        case Phase.DEADLINE:
            said = _how_it_failed(drain, demand, now)
        case (Phase.DRAINED | Phase.GONE | Phase.CUT) as end:
            said = _how_it_ended(drain, end)
        case Phase.STUCK:
            said = STUCK.why
        case Phase.ROLLING:
            said = _how_it_rolls(drain, demand, now)
        case Phase.WAITING if drain.udp_workers or not demand.accepts(len(drain.in_flight)):
            said = _how_it_waits(drain, demand, now)
        case _:
            said = _why_settling(drain, now) if drain.demands else "no client waits any more"
    return said


def uncounted(drain: Drain) -> list[str]:
    """The sockets that nginx serves on and that cannot be counted. UDP is counted by workers, where
    these have been signalled to quit."""
    names = drain.nginx.uncounted
    if drain.udp_workers or drain.nginx.udp_known:
        return [name for name in names if not name.startswith("udp ")]
    return list(names)


def _how_it_failed(drain: Drain, demand: Demand, now: float) -> str:
    said = f"the timeout of {demand.policy.given_timeout:g} s is over"
    if young := newcomers(drain, demand, now):
        said += f"; {young}"
    return said + _hint(drain) + _not_seen(drain)


def _how_it_rolls(drain: Drain, demand: Demand, now: float) -> str:
    if drain.rolls.latest is None or drain.rolls.latest.outcome is not Outcome.QUIT:
        return ROLLING
    last = "" if drain.udp_workers else "; the last worker accepts until another has exited"
    return _how_it_waits(drain, demand, now) + last


def _how_it_waits(drain: Drain, demand: Demand, now: float) -> str:
    return _what_it_waits_for(drain) + (f"; {STILL_SENT}" if are_sent(drain, demand, now) else "")


def _what_it_waits_for(drain: Drain) -> str:
    if drain.rolls.barred:
        return f"{WAITING}; roll {drain.rolls.latest}"
    return UDP if drain.udp_workers else WAITING


def _how_it_ended(drain: Drain, end: Phase) -> str:
    if end is Phase.CUT:
        return CUT
    return ENDED if end is Phase.GONE else _drained(drain)


def _drained(drain: Drain) -> str:
    said = FEW if drain.in_flight else "nothing in flight"
    left = uncounted(drain)
    if left:
        return f"{said} over TCP; cannot count {', '.join(left)}"
    return said + _not_seen(drain)


def _not_seen(drain: Drain) -> str:
    return "" if drain.nginx.seen else f"; {NOT_SEEN}"


def _hint(drain: Drain) -> str:
    """A hint at connections that only a timeout of nginx's ends."""
    match drain.tally.unrequested:
        case 0:
            return ""
        case 1:
            said = "1 connection seems to have sent no request since it opened"
        case number:
            said = f"{number} connections seem to have sent no request since they opened"
    return f"; {said} (see client_header_timeout)"


def _why_settling(drain: Drain, now: float) -> str:
    left = max(demand.min_wait_until for demand in drain.demands) - now
    quiet = f"waiting for {drain.quiet():g} s without new connections"
    if drain.closed is not None and not drain.nginx.alive:
        return f"nothing listens any more; {quiet}"
    return f"min-wait has {left:.1f} s to go" if left > 0 else quiet
