"""Options for the hooks, computed from a node's drains.

- min-wait covers the last arrival: from the drain's start to the last new connection, clients learn
  of the pod's end. Drains with arrivals to the very end are left out: probes and scrapes never
  learn of it.
- timeout covers min-wait, the quiet period, and the time until nothing is in flight. It is at least
  twice min-wait and quiet, as a drain waits for quiet during the first half of its timeout only.
- the grace period covers the timeout, the hook's start and nginx's end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Any, Protocol

from drainmon.drain.policy import Policy
from drainmon.drain.statistics import RESULTS, WHOLE

ENOUGH = 20
"""Drains below which there is no advice."""

SHARE = 0.99
"""The share of drains for which the advice would have been enough."""

BUSY = 10
"""Arrivals in a drain that make its last one significant: of a few, the last is early by chance."""

SURE = 300
"""Busy drains required for advice below the defaults: the slowest hundredth is among them with a
probability of 95 % (1 - SHARE ** SURE)."""

MARGIN = 1.2
"""Factor between what was seen and what is advised: another week may bring later arrivals."""

SHORTEST = 1.0
"""Least min-wait, in seconds."""

GRACE = 5
"""Seconds of the grace period for the hook's start, and for nginx's end after it."""

TO_THE_END = 1.0
"""Seconds before a drain's end in which an arrival shows that arrivals do not stop."""


class Distribution(Protocol):
    """A distribution of seconds, one value per drain."""

    @property
    def count(self) -> int: ...

    def percentile(self, share: float) -> float:
        """The seconds that are enough for this share (0 to 1) of the drains."""


class Values:
    """A distribution of known values."""

    def __init__(self, values: Iterable[float]) -> None:
        self._values = sorted(values)

    @property
    def count(self) -> int:
        return len(self._values)

    def percentile(self, share: float) -> float:
        return self._values[max(0, ceil(share * self.count) - 1)] if self._values else 0.0


class Buckets:
    """A distribution known by its cumulative buckets, the last bound infinity, and its sum."""

    def __init__(self, cumulative: Sequence[tuple[float, float]], total: float = 0.0) -> None:
        self._cumulative = sorted(cumulative)
        self._total = total

    @property
    def count(self) -> int:
        return int(self._cumulative[-1][1]) if self._cumulative else 0

    @property
    def mean(self) -> float:
        return self._total / self.count if self.count else 0.0

    def percentile(self, share: float) -> float:
        rank = ceil(share * self.count)
        return next((bound for bound, count in self._cumulative if count >= rank), 0.0)


@dataclass(frozen=True)
class Evidence:
    """What is known of a node's drains: their results, and three distributions. `to_the_end` counts
    drains with arrivals to the end; `last_arrival` is of the others, of which `busy` had at least
    BUSY arrivals. `after_settling` and `busy` are None where unknown."""

    results: Mapping[str, int]
    last_arrival: Distribution
    seconds: Distribution
    after_settling: Distribution | None
    to_the_end: int = 0
    busy: int | None = None

    @property
    def confidence(self) -> float:
        """The probability that the slowest hundredth of all drains is among these."""
        return 1 - SHARE ** (self.busy or 0)

    @property
    def is_sure(self) -> bool:
        return (self.busy or 0) >= SURE


@dataclass(frozen=True)
class Advice:
    """Options in seconds, None where there are too few drains. Without sure evidence no option is
    below its default. `notes` are for people."""

    min_wait: float | None
    timeout: int | None
    grace_period: int | None
    notes: list[str] = field(default_factory=list)


def from_records(records: Iterable[Mapping[str, Any]]) -> Evidence:
    """Evidence in records of /v1/drains. Raises ValueError for what is not a record."""
    results = dict.fromkeys(RESULTS, 0)
    seconds, arrivals, after, endless, busy = [], [], [], 0, 0
    for record in records:
        result = record.get("result")
        if result is None and "result" in record:
            continue
        if result not in results:
            raise ValueError(f"a drain record has the result {result!r:.40}")
        results[result] += 1
        if result not in WHOLE:
            continue
        took, settled = _seconds(record.get("seconds")), _settled(record.get("phases"))
        last = record.get("last_arrival")
        last = None if last is None else _seconds(last)
        seconds.append(took)
        after.append(took - settled)
        if last is not None and took - last < TO_THE_END:
            endless += 1
        elif last is not None:
            arrivals.append(last)
            busy += _is_busy(record.get("arrivals", 0), _seconds(record.get("min_wait", 0)))
    return Evidence(results, Values(arrivals), Values(seconds), Values(after), endless, busy)


def _is_busy(arrivals: Any, min_wait: float) -> bool:
    """Whether the drain shows when clients stop coming: after a short min-wait, later
    connections were refused, and are in no record."""
    if isinstance(arrivals, bool) or not isinstance(arrivals, int):
        raise ValueError(f"a drain record has {arrivals!r:.40} arrivals")
    return arrivals >= BUSY and min_wait >= Policy.min_wait


def _settled(phases: Any) -> float:
    """The time at which a drain had settled."""
    match phases:
        case [["settling", _], [str(), at], *_]:
            return _seconds(at)
        case [[str(), at], *_]:
            return _seconds(at)
    raise ValueError(f"a drain record has the phases {phases!r:.40}")


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < inf:
        raise ValueError(f"a drain record has a time of {value!r:.40}")
    return float(value)


def from_histograms(
    results: Mapping[str, int], last_arrival: Buckets, seconds: Buckets
) -> Evidence:
    """Evidence in Prometheus's histograms, which show arrivals to the end for all drains together
    only."""
    endless = last_arrival.count and seconds.mean - last_arrival.mean < TO_THE_END
    if endless:
        return Evidence(results, Buckets([]), seconds, None, last_arrival.count)
    return Evidence(results, last_arrival, seconds, None)


def advise(evidence: Evidence) -> Advice:
    """The options that would have been enough for nearly all of the drains."""
    notes: list[str] = []
    default = Policy()
    quiet = default.quiet
    min_wait = _min_wait(evidence, notes)
    if min_wait is not None and not evidence.is_sure:
        min_wait = max(min_wait, default.min_wait)
    timeout = None
    if evidence.seconds.count < ENOUGH:
        notes.append(
            f"too few drains: {evidence.seconds.count} have ended, {ENOUGH} are needed;"
            f" keep {default.timeout:g} s"
        )
    else:
        timeout = _timeout(evidence, default.min_wait if min_wait is None else min_wait, quiet)
        if timeout is None:
            notes.append("drains take longer than the last bucket's bound: use the records")
        elif not evidence.is_sure:
            timeout = max(timeout, ceil(default.timeout))
    if not evidence.is_sure:
        notes.append(_why_not_sure(evidence, default))
    if deadlines := evidence.results.get("deadline", 0):
        share = deadlines / max(1, evidence.seconds.count)
        notes.append(
            f"{deadlines} of {evidence.seconds.count} drains ended at their deadline"
            + (": they may need more than this --timeout" if share > 0.01 else "")
        )
    if cut := evidence.results.get("cut", 0):
        notes.append(
            f"{cut} drains were cut: nginx was stopped before they ended; is"
            " terminationGracePeriodSeconds shorter than --timeout?"
        )
    grace = None if timeout is None else timeout + GRACE
    return Advice(min_wait, timeout, grace, notes)


def _why_not_sure(evidence: Evidence, default: Policy) -> str:
    kept = f"nothing below the defaults is advised ({default.min_wait:g} s, {default.timeout:g} s)"
    if evidence.busy is None:
        return f"Prometheus's text has no number of arrivals per drain: {kept}"
    return f"only {evidence.busy} drains had {BUSY} arrivals, {SURE} are needed: {kept}"


def _min_wait(evidence: Evidence, notes: list[str]) -> float | None:
    arrivals = evidence.last_arrival
    if evidence.to_the_end:
        notes.append(
            f"in {evidence.to_the_end} drains connections arrived to the end: ignore probes and"
            " scrapes; other clients never learn of a pod's end"
        )
    if arrivals.count < ENOUGH:
        notes.append(
            f"too few drains for --min-wait: in {arrivals.count} connections arrived and then"
            f" stopped, {ENOUGH} are needed; keep {Policy().min_wait:g} s"
        )
        return None
    latest = arrivals.percentile(SHARE)
    if latest == inf:
        notes.append("connections arrive later than the last bucket's bound: use the records")
        return None
    return max(SHORTEST, ceil(2 * MARGIN * latest) / 2)


def _timeout(evidence: Evidence, min_wait: float, quiet: float) -> int | None:
    if evidence.after_settling is not None:
        needed = min_wait + quiet + MARGIN * evidence.after_settling.percentile(SHARE)
    else:
        needed = MARGIN * evidence.seconds.percentile(SHARE)
    return None if needed == inf else ceil(max(needed, 2 * (min_wait + quiet)))
