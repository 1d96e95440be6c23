"""Passive opens by ignored peers, as far as looks at /proc/net/tcp show them.

The kernel counts passive opens of a whole namespace and says nothing of whose they are. A
connection that is seen can be told by its row, also when only its TIME_WAIT is left; one that comes
and goes between two looks, closed by its client, cannot, and counts as an arrival. Pure; times are
monotonic seconds.
"""

from collections.abc import Iterable

from drainmon.model.ignored import Ignored
from drainmon.procfs.net_tcp import parse_ends

KNOWN_FOR = 5.0
"""Seconds for which a connection stays known that no look shows: the kernel may have passed over
its row, and shows it again."""

_NOT_YET_OPENED = frozenset({b"03", b"0A"})  # SYN_RECV, LISTEN

_Ends = tuple[bytes, bytes]
"""Local and remote, as text of the row."""


class IgnoredArrivals:
    """From look to look."""

    def __init__(self, ignored: Ignored) -> None:
        self.ports = ignored.ports
        self._ignored = ignored
        self._known: dict[_Ends, float] | None = None
        self._seen: set[_Ends] = set()
        self._late = 0

    def add(self, rows: Iterable[bytes]) -> None:
        """Rows of `find_rows` of the look that is under way."""
        for row in rows:
            match row.split(b" ", 3):
                case [local, remote, state, _] if state not in _NOT_YET_OPENED:
                    if self._covers(local, remote):
                        self._seen.add((local, remote))

    def _covers(self, local: bytes, remote: bytes) -> bool:
        if self._known and (local, remote) in self._known:
            return True
        ends = parse_ends(local, remote)
        return ends is not None and self._ignored.covers(ends[1], ends[2])

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
        # Who came while the rows were read was told as an arrival, and is shown only now.
        told = max(0, opens - max(0, new - self._late))
        self._late = min(told, during)
        return told
