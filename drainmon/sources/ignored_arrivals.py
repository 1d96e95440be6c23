"""Passive opens by ignored peers, as far as looks at the pod's sockets show them.

The kernel counts passive opens of a whole namespace and says nothing of whose they are. A
connection that is seen can be told by its ends, also when only its TIME_WAIT is left; one that
comes and goes between two looks, closed by its client, cannot, and counts as an arrival. Pure;
times are monotonic seconds.
"""

from collections.abc import Iterable

from drainmon.model.ignored import Ignored
from drainmon.sources.reading import Ends

KNOWN_FOR = 5.0
"""Seconds for which a connection stays known that no look shows: the kernel may have passed over
it, and shows it again."""


class IgnoredArrivals:
    """From look to look."""

    def __init__(self, ignored: Ignored) -> None:
        self.ports = ignored.ports
        self._ignored = ignored
        self._known: dict[Ends, float] | None = None
        self._seen: set[Ends] = set()
        self._late = 0

    def add(self, connections: Iterable[Ends]) -> None:
        """What the look that is under way has found: open connections, and what is left of closed
        ones; no handshakes."""
        known = self._known or ()
        covers = self._ignored.covers
        self._seen.update(ends for ends in connections if ends in known or covers(*ends[1:3]))

    def arrivals(self, opens: int, during: int, now: float) -> int:
        """The look is over: how many of so many new passive opens may have been by others; at the
        first look all. `during`: how many came since this look began."""
        seen, self._seen = self._seen, set()
        if self._known is None:
            self._known = dict.fromkeys(seen, now)
            self._late = during
            return opens
        new = len(seen - self._known.keys())
        kept = {ends: last for ends, last in self._known.items() if now - last <= KNOWN_FOR}
        self._known = kept | dict.fromkeys(seen, now)
        # Who came while the sockets were read was told as an arrival, and is shown only now.
        told = max(0, opens - max(0, new - self._late))
        self._late = min(told, during)
        return told
