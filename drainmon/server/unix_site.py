"""Takes connections on unix sockets: identifies the caller and applies its limits before a byte is
read."""

import socket
from collections.abc import Hashable

from aiohttp import web

from drainmon.server import peer
from drainmon.server.keys import HOST
from drainmon.server.limits import Admission
from drainmon.server.replies import raw_error
from drainmon.server.seats import Seats, refuse

PROCESS_REFUSED = 0.1
"""Seconds for which a refused process is refused again unchecked: pods share the queue of the
socket file, so a process that fills it must cost next to nothing."""

TOO_MANY = raw_error(429, "cannot answer: this pod has too many connections")

UNKNOWN = "unknown"
"""The key of all callers that cannot be identified."""


class UnixSite:
    """Takes connections of an `Acceptor` for a runner that is set up."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._seats = Seats(runner)
        self._host = runner.app[HOST]
        self._refused: dict[int, float] = {}

    def take(self, connection: socket.socket, now: float) -> None:
        """Take a new connection. Raises OSError when files or memory are short."""
        pid = peer.process_of(connection)
        if self._refused.get(pid, 0.0) > now:
            refuse(connection, TOO_MANY)
            return
        try:
            admitted = self._admit(connection, now)
        except OSError as error:
            refuse(connection, raw_error(503, str(error)))
            raise
        if not admitted:
            refuse(connection, TOO_MANY)
            self._refused = {p: then for p, then in self._refused.items() if then > now}
            self._refused[pid] = now + PROCESS_REFUSED

    def _admit(self, connection: socket.socket, now: float) -> bool:
        caller, unknown = None, ""
        key: Hashable = UNKNOWN
        try:
            caller = peer.identify(connection)
            key = None if self._host.is_root(caller) else caller.key
        except PermissionError as error:
            unknown = str(error)
        admission = self._seats.limits.admit(key, now)
        if admission is Admission.REFUSED:
            return False
        self._seats.give(connection, key, admission, caller=caller, unknown=unknown)
        return True
