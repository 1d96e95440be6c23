"""A connection of a pod's, and whose it is."""

from collections.abc import Hashable
from dataclasses import dataclass

from drainmon.server.connection import Connection
from drainmon.server.limits import Admission
from drainmon.server.peer import Caller


@dataclass(frozen=True)
class Session:
    """`key` is whose limits hold: None for root of the host, whom none holds. On a unix socket
    `caller` is None when the kernel does not say who it is, for the reason `unknown`. On a port in
    a pod's network namespace it is not asked: the pod is that of the namespace `netns`."""

    connection: Connection
    key: Hashable
    admission: Admission
    caller: Caller | None = None
    unknown: str = ""
    netns: int = 0
