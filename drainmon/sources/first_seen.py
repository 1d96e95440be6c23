"""When connections were first seen of which the kernel does not know when they were opened.

While a pod is watched the kernel remembers that of new ones. It may have missed one, had no memory,
or not counted its port. What the first look at a port finds is older than the drain, what a later
one finds is as new as that look.
"""

from drainmon.model.standing import Socket
from drainmon.sources.reading import Ends


class FirstSeen:
    """Of one pod, from look to look."""

    def __init__(self) -> None:
        self._ports: frozenset[int] = frozenset()
        self._seen: dict[Ends, float | None] = {}

    def date(self, sockets: list[Socket], ports: frozenset[int], taken: float) -> None:
        """Enter in the connections of a look when they were opened, at the latest."""
        before, self._seen = self._seen, {}
        for number, one in enumerate(sockets):
            if one.opened is None and not one.minisocket:
                ends = one[:4]
                new = taken if one.local_port in self._ports else None
                opened = self._seen[ends] = before.get(ends, new)
                if opened is not None:
                    sockets[number] = one._replace(opened=opened)
        self._ports = ports
