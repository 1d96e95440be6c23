"""Limits for each pod, so that every other pod can be served. Pure.

A pod is a `key` here: what all its callers have in common and cannot change (`Caller.key`). The key
None, root of the host, has no limits.
"""

import contextlib
from collections import Counter
from collections.abc import Hashable, Iterator
from enum import Enum, auto

CONNECTIONS = 128
"""Open connections of one pod that are served, at most."""

EXCESS = 16
"""Further connections that are read and answered with 429; all others get 429 without being
read."""

DRAINS = 100
"""Drains that callers of one pod may follow at once; other connections remain for queries."""

CONNECT_RATE, CONNECT_BURST = 100.0, 1000
"""New connections of one pod per second, and in a burst; others are refused."""

REQUEST_RATE, REQUEST_BURST = 50.0, 500
"""Requests of one pod per second, and in a burst; others wait for their turn."""

DRAIN_RATE, DRAIN_BURST = 2.0, 200
"""Drains of one pod that begin per second, and in a burst: each scans all processes of the node."""

LONGEST_WAIT = 5.0
"""Seconds that a request waits for its turn at most; a longer wait is refused with 429."""

REQUEST_BYTES = 8192
"""A whole request: its line, headers and body."""

READ_SECONDS = 10.0
"""Seconds for a whole request to arrive, and for an idle connection."""

ANSWER_SECONDS = 30.0
"""Seconds for an answer; a drain has its own timeout."""

UNREAD_SECONDS = 10.0
"""Seconds after which a caller that does not read its answer is disconnected."""


class TooMany(Exception):
    """The caller's pod is at a limit: "cannot X: why"."""


class Admission(Enum):
    """What happens to a new connection."""

    SERVED = auto()
    EXCESS = auto()
    """Its requests are read and answered with 429."""
    REFUSED = auto()


class Limits:
    """The use of each pod. `descriptors` is the daemon's limit of open files: half of them are for
    connections, up to three quarters for the first connections of pods without any."""

    def __init__(self, descriptors: int) -> None:
        self._descriptors = descriptors
        self.connections = min(CONNECTIONS, max(1, descriptors // 8))
        self._open: Counter[Hashable] = Counter()
        self._total = 0
        self._drains: Counter[Hashable] = Counter()
        self._connects = RateLimit(CONNECT_RATE, CONNECT_BURST)
        self._requests = RateLimit(REQUEST_RATE, REQUEST_BURST)
        self._beginnings = RateLimit(DRAIN_RATE, DRAIN_BURST)

    def admit(self, key: Hashable, now: float) -> Admission:
        """Whether to serve a pod's new connection. Unless it is refused, `leave` must follow."""
        if key is None:
            return Admission.SERVED
        opened = self._open.get(key, 0)
        room = self._descriptors // 2 if opened else self._descriptors * 3 // 4
        if self._total >= room or opened >= self.connections + EXCESS:
            return Admission.REFUSED
        if self._connects.turn(key, now, longest=0.0) is None:
            return Admission.REFUSED
        self._open[key] += 1
        self._total += 1
        return Admission.SERVED if opened < self.connections else Admission.EXCESS

    def leave(self, key: Hashable) -> None:
        """Record that one of the pod's connections has closed."""
        if key is None:
            return
        self._total -= 1
        _take(self._open, key)

    def request(self, key: Hashable, now: float) -> float:
        """Seconds until a request of the pod may be answered. Raises TooMany."""
        if key is None:
            return 0.0
        wait = self._requests.turn(key, now, LONGEST_WAIT)
        if wait is None:
            raise TooMany("cannot answer: this pod asks too often")
        return wait

    @contextlib.contextmanager
    def drain(self, key: Hashable, now: float) -> Iterator[float]:
        """A context for following a drain; yields the seconds until the drain may begin.
        Raises TooMany."""
        if key is None:
            yield 0.0
            return
        if self._drains.get(key, 0) >= DRAINS:
            raise TooMany(f"cannot drain: this pod follows {DRAINS} drains already")
        wait = self._beginnings.turn(key, now, LONGEST_WAIT)
        if wait is None:
            raise TooMany("cannot drain: this pod asks too often")
        self._drains[key] += 1
        try:
            yield wait
        finally:
            _take(self._drains, key)


def _take(counter: Counter[Hashable], key: Hashable) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


_ROUNDING = 1e-6


class RateLimit:
    """Limits each key to `rate` turns per second, and `burst` more at once after a rest."""

    def __init__(self, rate: float, burst: int) -> None:
        self._gap = 1 / rate
        self._slack = burst / rate
        self._rested: dict[Hashable, float] = {}
        """When each key will have its whole burst again; all other keys have it."""

    def turn(self, key: Hashable, now: float, longest: float) -> float | None:
        """Take a turn, and return the seconds until it comes; None, without taking it, when that is
        longer than `longest`."""
        rested = max(self._rested.get(key, now), now) + self._gap
        wait = rested - now - self._slack
        if wait < _ROUNDING:
            wait = 0.0
        if wait > longest:
            return None
        if key not in self._rested:
            self._rested = {other: then for other, then in self._rested.items() if then > now}
        self._rested[key] = rested
        return wait
