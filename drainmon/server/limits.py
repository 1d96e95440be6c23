"""How much of the daemon one pod may have, so that every other can be served. Pure.

A pod is a `key` here: what all its callers have in common and cannot change (`Caller.key`). No
limit holds for the key None, which is root of the host.
"""

import contextlib
from collections import Counter
from collections.abc import Hashable, Iterator
from enum import Enum, auto

CONNECTIONS = 128
"""Open connections of one pod that are served."""

TOLD = 16
"""Further ones that are read and told why not; those beyond are told unread, and closed."""

DRAINS = 100
"""Drains that callers of one pod may follow at once; what is left is for questions."""

CONNECT_RATE, CONNECT_BURST = 100.0, 1000
"""New connections of one pod a second, after so many at once; those beyond are refused."""

REQUEST_RATE, REQUEST_BURST = 50.0, 500
"""Requests of one pod; those beyond wait for their turn."""

DRAIN_RATE, DRAIN_BURST = 2.0, 200
"""Drains of one pod that begin: each has every process of the node looked at."""

LONGEST_WAIT = 5.0
"""Seconds for a turn; who would have to wait longer is told so."""

REQUEST_BYTES = 8192
"""A whole request: its line, headers and body."""

READ_SECONDS = 10.0
"""For a whole request to arrive. A connection may be idle as long."""

ANSWER_SECONDS = 30.0
"""For an answer; a drain has its own timeout."""

UNREAD_SECONDS = 10.0
"""A caller that leaves what it was sent unread for so long has left."""


class TooMany(Exception):
    """The caller's pod has all that it may have: "cannot X: why"."""


class Admission(Enum):
    """What becomes of a new connection."""

    SERVED = auto()
    TOLD = auto()
    """It is read, and told that there are too many."""
    REFUSED = auto()


class Limits:
    """Who has what. `descriptors` is how many files the daemon may have open: half of them are for
    connections; then each pod that has none gets one more, up to three quarters."""

    def __init__(self, descriptors: int) -> None:
        self._descriptors = descriptors
        self.connections = min(CONNECTIONS, max(1, descriptors // 8))
        self._open: Counter[Hashable] = Counter()
        self._total = 0
        self._drains: Counter[Hashable] = Counter()
        self._connects = Pace(CONNECT_RATE, CONNECT_BURST)
        self._requests = Pace(REQUEST_RATE, REQUEST_BURST)
        self._beginnings = Pace(DRAIN_RATE, DRAIN_BURST)

    def enter(self, key: Hashable, now: float) -> Admission:
        """A pod has opened a connection. Unless it is refused, `leave` must follow."""
        if key is None:
            return Admission.SERVED
        mine = self._open.get(key, 0)
        room = self._descriptors // 2 if mine else self._descriptors * 3 // 4
        if self._total >= room or mine >= self.connections + TOLD:
            return Admission.REFUSED
        if self._connects.turn(key, now, longest=0.0) is None:
            return Admission.REFUSED
        self._open[key] += 1
        self._total += 1
        return Admission.SERVED if mine < self.connections else Admission.TOLD

    def leave(self, key: Hashable) -> None:
        """One of the pod's connections is closed."""
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
        """For as long as one caller follows a drain. Gives the seconds until it may begin. Raises
        TooMany."""
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


class Pace:
    """Turns: so many a second for each key, and `burst` more at once after a rest."""

    def __init__(self, rate: float, burst: int) -> None:
        self._gap = 1 / rate
        self._slack = burst / rate
        self._rested: dict[Hashable, float] = {}
        """When each key will have its whole burst again; the others have it."""

    def turn(self, key: Hashable, now: float, longest: float) -> float | None:
        """Seconds until the key's turn, which is taken; None, and not taken, when that is longer
        than `longest`."""
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
