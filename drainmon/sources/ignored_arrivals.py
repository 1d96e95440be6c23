"""Recognises passive opens by ignored peers, by looks at the pod's sockets.

The kernel counts passive opens of a whole namespace, without their peers. A connection that a look
shows is recognised by its ends, also when only its TIME_WAIT remains. One that comes and goes
between two looks, closed by its client, is not, and counts as an arrival. Pure; times are monotonic
seconds.
"""

from collections.abc import Iterable

from drainmon.model.ignored import Ignored
from drainmon.sources.reading import Ends

KNOWN_FOR = 5.0
"""Seconds for which a connection stays known without being shown: the kernel may have skipped it,
and show it again."""


class IgnoredArrivals:
    """The connections of ignored peers, from look to look."""

    def __init__(self, ignored: Ignored) -> None:
        self.ports = ignored.ports
        self._ignored = ignored
        self._known: dict[Ends, float] | None = None
        self._seen: set[Ends] = set()
        self._late = 0

    def add(self, connections: Iterable[Ends]) -> None:
        """Add connections that the current look has found: open ones and the remains of closed
        ones, no handshakes."""
        known = self._known or ()
        covers = self._ignored.covers
        self._seen.update(ends for ends in connections if ends in known or covers(*ends[1:3]))

    def arrivals(self, opens: int, during: int, now: float) -> int:
        """End the look, and return how many of `opens` new passive opens may be arrivals; at the
        first look all. `during` of them came since this look began."""
        seen, self._seen = self._seen, set()
        if self._known is None:
            self._known = dict.fromkeys(seen, now)
            self._late = during
            return opens
        new = len(seen - self._known.keys())
        kept = {ends: last for ends, last in self._known.items() if now - last <= KNOWN_FOR}
        self._known = kept | dict.fromkeys(seen, now)
        # Opens during the last look were reported as arrivals, and are shown only now.
        arrivals = max(0, opens - max(0, new - self._late))
        self._late = min(arrivals, during)
        return arrivals
