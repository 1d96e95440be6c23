"""Opening times of connections for which the kernel has none.

While a pod is watched the kernel records when a connection opens, unless it missed the event, had
no memory, or does not count the port. A connection in the first snapshot of a port is older than
the drain; one that first appears in a later snapshot gets the time of that snapshot."""

from drainmon.model.standing import Socket
from drainmon.sources.reading import Ends

_Snapshot = tuple[float, frozenset[int], dict[Ends, float | None]]
"""When a snapshot began, its ports, and when each connection opened: None if unknown."""


class FirstSeen:
    """The connections of one pod, from snapshot to snapshot."""

    def __init__(self) -> None:
        self._last: _Snapshot = (float("-inf"), frozenset(), {})

    def date(self, sockets: list[Socket], ports: frozenset[int], taken: float) -> None:
        """Set the latest possible opening times of a snapshot's connections, which began at
        `taken`. Snapshots may overlap, each in a thread of its own."""
        _, known_ports, known = self._last
        seen: dict[Ends, float | None] = {}
        for number, one in enumerate(sockets):
            if one.opened is None and not one.minisocket:
                ends = one[:4]
                new = taken if one.local_port in known_ports else None
                opened = seen[ends] = known.get(ends, new)
                if opened is not None:
                    sockets[number] = one._replace(opened=opened)
        if taken >= self._last[0]:
            self._last = taken, ports, seen
