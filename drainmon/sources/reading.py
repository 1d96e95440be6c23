"""The result of one pass over a pod's sockets, by sock_diag or from /proc."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from drainmon.model.snapshot import Listener
from drainmon.model.standing import Socket

WATCHED_WITHIN = 3.0
"""Seconds between two passes above which connections may have come and gone unseen."""

Opened = Mapping[Hashable, float | None]
"""When each connection was first seen, by a key that is never reused; None when it was there before
the first pass."""

Ends = tuple[bytes, int, bytes, int]
"""Local address and port, remote address and port."""


@dataclass
class Reading:
    """Sockets on the ports of a request. `time_wait` counts the remains of closed connections;
    `closed` has their ends, if requested."""

    sockets: list[Socket] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    time_wait: int = 0
    closed: list[Ends] = field(default_factory=list)
    in_parts: bool = False
    opened: dict[Hashable, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """A request: the ports to read; `closed`: also the ends of sockets in TIME_WAIT; `opened`:
    known opening times; `watched`: the last pass was a moment ago, so that new connections have
    opened since then."""

    ports: frozenset[int]
    closed: bool = False
    opened: Opened = field(default_factory=dict)
    watched: bool = False
