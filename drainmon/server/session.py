"""A connection on the unix socket, and whose it is."""

from collections.abc import Hashable
from dataclasses import dataclass

from drainmon.server.connection import Connection
from drainmon.server.limits import Admission
from drainmon.server.peer import Caller


@dataclass(frozen=True)
class Session:
    """`caller` is None when the kernel does not say who it is, for the reason `unknown`. `key` is
    whose limits hold: None for root of the host, whom none holds."""

    caller: Caller | None
    unknown: str
    key: Hashable
    admission: Admission
    connection: Connection
