"""Connections on the unix socket: of a known caller, who has so many, before a byte is read."""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Hashable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from drainmon.server import peer
from drainmon.server.connection import Connection
from drainmon.server.keys import HOST, LIMITS, SESSIONS
from drainmon.server.limits import READ_SECONDS, Admission
from drainmon.server.replies import raw_error
from drainmon.server.session import Session

log = logging.getLogger(__name__)

ACCEPT_SECONDS = 0.002
"""For new connections at a time; then all else that the daemon does, also in threads, gets as much,
however many more are waiting."""

PROCESS_REFUSED = 0.1
"""Seconds for which a process whose pod was refused a connection is refused without a look: the
queue is everybody's, so who fills it must cost next to nothing."""

SHORTAGE_REST = 0.2
"""Seconds until the next try when the node is short of files or memory."""

_NOBODY_WAITS = frozenset({errno.EAGAIN, errno.EINTR, errno.ECONNABORTED})

SEND_BUFFER = 32768
"""Bytes that the kernel keeps for a caller who does not read; it takes as much again for itself."""

TOO_MANY = raw_error(429, "cannot answer: this pod has too many connections")

UNKNOWN = "unknown"
"""The key of all callers that cannot be told apart."""


def make_runner(app: web.Application, shutdown: float) -> web.AppRunner:
    """A runner whose connections a `UnixSite` takes. When it is cleaned up, what is being answered
    gets `shutdown` seconds."""
    return web.AppRunner(
        app,
        access_log=None,
        logger=_http_log(),
        handler_cancellation=True,
        shutdown_timeout=shutdown,
        keepalive_timeout=READ_SECONDS,
        lingering_time=0,
    )


def _http_log() -> logging.Logger:
    """aiohttp's, without a traceback for whatever a pod sends that is no HTTP."""
    http = log.getChild("http")
    http.addFilter(_is_about_us)
    return http


def _is_about_us(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


class UnixSite:
    """Takes connections from `listener` and hands them to a runner that is set up. Close it before
    the runner is cleaned up."""

    def __init__(self, runner: web.AppRunner, listener: socket.socket) -> None:
        if runner.server is None:
            raise RuntimeError("cannot serve: the runner is not set up")
        self._server = runner.server
        self._listener = listener
        self._host = runner.app[HOST]
        self._limits = runner.app[LIMITS]
        self._sessions = runner.app[SESSIONS]
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refused: dict[int, float] = {}
        self._resting: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._go_on()

    def close(self) -> None:
        """Take no more connections."""
        self._loop.remove_reader(self._listener)
        if self._resting:
            self._resting.cancel()

    def _go_on(self) -> None:
        self._resting = None
        self._loop.add_reader(self._listener, self._accept)

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._resting = self._loop.call_later(seconds, self._go_on)

    def _accept(self) -> None:
        until = time.monotonic() + ACCEPT_SECONDS
        while (now := time.monotonic()) < until:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if error.errno not in _NOBODY_WAITS:
                    self._rest_because(error)
                return
            try:
                self._take(connection, now)
            except OSError as error:
                _refuse(connection, raw_error(503, str(error)))
                self._rest_because(error)
                return
        self._rest(ACCEPT_SECONDS)

    def _rest_because(self, error: OSError) -> None:
        """Something is short."""
        log.warning("cannot accept", extra={"error": error.strerror or str(error)})
        self._rest(SHORTAGE_REST)

    def _take(self, connection: socket.socket, now: float) -> None:
        pid = peer.process_of(connection)
        if self._refused.get(pid, 0.0) > now:
            _refuse(connection, TOO_MANY)
        elif not self._admit(connection, now):
            _refuse(connection, TOO_MANY)
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
        admission = self._limits.enter(key, now)
        if admission is Admission.REFUSED:
            return False
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        handler = self._server()
        session = Session(
            caller, unknown, key, admission, Connection(handler, lambda: self._leave(handler))
        )
        self._sessions[handler] = session
        task = self._loop.create_task(self._connect(connection, session))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _connect(self, connection: socket.socket, session: Session) -> None:
        await self._loop.connect_accepted_socket(lambda: session.connection, connection)

    def _leave(self, handler: web.RequestHandler) -> None:
        self._limits.leave(self._sessions.pop(handler).key)


def _refuse(connection: socket.socket, answer: bytes) -> None:
    """Say so, if there is room for it, and hang up."""
    with connection:
        connection.setblocking(False)
        try:
            connection.send(answer)
        except OSError:  # it has left already
            return
