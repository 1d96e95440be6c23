"""What one pass over a pod's sockets says, whichever way they are read."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from drainmon.model.snapshot import Listener
from drainmon.model.standing import Socket

WATCHED_WITHIN = 3.0
"""Seconds between two passes above which it is not known what has come and gone meanwhile."""

Opened = Mapping[Hashable, float | None]
"""When each connection was first seen, by what names it for good; None when it was there before
anybody looked."""

Ends = tuple[bytes, int, bytes, int]
"""Local address and port, remote address and port."""


@dataclass
class Reading:
    """Sockets on the ports that were asked for. What remains of closed connections in TIME_WAIT is
    counted; `closed` has its ends where they were asked for."""

    sockets: list[Socket] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    time_wait: int = 0
    closed: list[Ends] = field(default_factory=list)
    in_parts: bool = False
    opened: dict[Hashable, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """The ports whose sockets to read, whether with the ends of those in TIME_WAIT, and what is
    known of when connections were opened; `watched`: those that are new have been opened since the
    pass before, a moment ago."""

    ports: frozenset[int]
    closed: bool = False
    opened: Opened = field(default_factory=dict)
    watched: bool = False
