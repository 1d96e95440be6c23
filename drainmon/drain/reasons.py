"""Why a drain still waits, or how it ended, for people."""

from drainmon.drain.demand import Demand, Phase
from drainmon.drain.machine import Drain


def reason(drain: Drain, demand: Demand, now: float) -> str:
    """The reason for one of the callers, at the monotonic time `now`."""
    match demand.told or drain.phase:
        case Phase.DRAINED:
            return "nothing in flight" if not drain.in_flight else "few enough in flight"
        case Phase.DEADLINE:
            return f"the timeout of {demand.policy.timeout:g} s is over"
        case Phase.GONE:
            return "nginx has ended"
        case Phase.ROLLING:
            return "nginx replaces its workers"
        case Phase.WAITING if not demand.accepts(len(drain.in_flight)):
            return drain.note or "connections are in flight"
        case _:
            return _why_settling(drain, now) if drain.demands else "nobody waits any more"


def _why_settling(drain: Drain, now: float) -> str:
    left = max(demand.min_wait_until for demand in drain.demands) - now
    quiet = f"quiet for {drain.quiet():g} s is asked for"
    if drain.closed is not None:
        return f"nothing listens any more, {quiet}"
    if left > 0:
        return f"min-wait has {left:.1f} s to go"
    return f"connections still arrive, {quiet}" if drain.phase is Phase.SETTLING else quiet
