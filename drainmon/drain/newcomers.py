"""Whether clients are still being sent to a pod long after its end should have been known."""

from itertools import islice
from math import ceil
from typing import NamedTuple

from drainmon.drain.demand import Demand
from drainmon.drain.machine import Drain

ARRIVES = 3.0
"""Seconds after the last arrival in which connections count as still arriving; a source that counts
by looking may notice an arrival 2 s late."""

SAMPLE = 1000
"""Connections in flight that are judged at most: there may be 100,000."""

STILL_SENT = "clients are still being sent here"

WHY = "they use the pod's IP directly, or the load balancer has not noticed yet"


class Newcomers(NamedTuple):
    """Most connections in flight have opened since min-wait ended: whether all have, and the age of
    the oldest in seconds."""

    all: bool
    oldest: float

    def __str__(self) -> str:
        who = "the connections left" if self.all else "most of the connections left"
        age = max(1, ceil(round(self.oldest, 3)))
        return f"{who} are at most {age} s old: {STILL_SENT} ({WHY})"


def are_sent(drain: Drain, demand: Demand, now: float) -> bool:
    """Whether connections still arrive, and one in flight has opened since min-wait ended."""
    youngest = drain.tally.last_opened_in_flight
    return _arrive(drain, now) and youngest is not None and youngest > demand.min_wait_until


def newcomers(drain: Drain, demand: Demand, now: float) -> Newcomers | None:
    """The newcomers; None when most connections in flight are older, or no more arrive."""
    if not are_sent(drain, demand, now):
        return None
    sample = list(islice(drain.in_flight, SAMPLE))
    since = demand.min_wait_until
    ages = [now - s.opened for s in sample if s.opened is not None and s.opened > since]
    if 2 * len(ages) <= len(sample):
        return None
    return Newcomers(len(ages) == len(sample), max(ages))


def _arrive(drain: Drain, now: float) -> bool:
    return drain.last_arrival is not None and now - drain.last_arrival < ARRIVES
