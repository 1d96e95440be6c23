"""A pod's connection and its caller."""

from collections.abc import Hashable
from dataclasses import dataclass

from drainmon.server.connection import Connection
from drainmon.server.limits import Admission
from drainmon.server.peer import Caller


@dataclass(frozen=True)
class Session:
    """`key` selects the limits; None, root of the host, has none. On a unix socket `caller` is None
    when it cannot be identified, for the reason `unknown`. On a port in a pod's network namespace
    `caller` is always None: the pod is that of the namespace `netns`."""

    connection: Connection
    key: Hashable
    admission: Admission
    caller: Caller | None = None
    unknown: str = ""
    netns: int = 0
