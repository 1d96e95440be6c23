"""Recognises passive opens by ignored peers, by snapshots of the pod's sockets.

The kernel counts passive opens of a whole namespace, without their peers. A connection in a
snapshot is recognised by its ends, also when only its TIME_WAIT remains. One that comes and goes
between two snapshots, closed by its client, is not, and counts as an arrival. Pure; times are
monotonic seconds.
"""

from collections.abc import Iterable

from drainmon.model.ignored import Ignored
from drainmon.sources.reading import Ends

KNOWN_FOR = 5.0
"""Seconds for which a connection stays known without being shown: the kernel may have skipped it,
and show it again."""


class IgnoredArrivals:
    """The connections of ignored peers, from snapshot to snapshot."""

    def __init__(self, ignored: Ignored) -> None:
        self.ports = ignored.ports
        self._ignored = ignored
        self._known: dict[Ends, float] | None = None
        self._seen: set[Ends] = set()
        self._late = 0

    def add(self, connections: Iterable[Ends]) -> None:
        """Add connections that the current snapshot has found: open ones and the remains of closed
        ones, no handshakes."""
        known = self._known or ()
        covers = self._ignored.covers
        self._seen.update(ends for ends in connections if ends in known or covers(*ends[1:3]))

    def arrivals(self, opens: int, during: int, now: float) -> int:
        """End the snapshot, and return how many of `opens` new passive opens may be arrivals; at
        the first snapshot all. `during` of them came since this snapshot began."""
        seen, self._seen = self._seen, set()
        if self._known is None:
            self._known = dict.fromkeys(seen, now)
            self._late = during
            return opens
        new = len(seen - self._known.keys())
        kept = {ends: last for ends, last in self._known.items() if now - last <= KNOWN_FOR}
        self._known = kept | dict.fromkeys(seen, now)
        # Opens during the last snapshot were reported as arrivals, and are shown only now.
        arrivals = max(0, opens - max(0, new - self._late))
        self._late = min(arrivals, during)
        return arrivals
