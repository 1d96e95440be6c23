"""Connections that are served, each with its caller identified before aiohttp reads a byte."""

import asyncio
import logging
import socket
from collections.abc import Hashable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from drainmon.server.connection import Connection, Session
from drainmon.server.keys import LIMITS, SESSIONS
from drainmon.server.limits import READ_SECONDS, Admission
from drainmon.server.peer import Caller

log = logging.getLogger(__name__)

SEND_BUFFER = 32768
"""Bytes that the kernel buffers for a caller that does not read; it doubles the number."""


def make_runner(app: web.Application, shutdown: float) -> web.AppRunner:
    """A runner for connections of `Seats`. At its clean-up, requests in progress get `shutdown`
    seconds."""
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
    """aiohttp's logger, without a traceback for bytes that are not HTTP."""
    http = log.getChild("http")
    http.addFilter(_is_own_error)
    return http


def _is_own_error(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


class Seats:
    """Passes connections to a runner that is set up, and keeps its sessions."""

    def __init__(self, runner: web.AppRunner) -> None:
        if runner.server is None:
            raise RuntimeError("cannot serve: the runner is not set up")
        self._server = runner.server
        self.limits = runner.app[LIMITS]
        self._sessions = runner.app[SESSIONS]
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def give(
        self,
        connection: socket.socket,
        key: Hashable,
        admission: Admission,
        *,
        caller: Caller | None = None,
        unknown: str = "",
        netns: int = 0,
    ) -> None:
        """Serve a connection that `limits` has admitted under `key`; all other arguments are the
        session's."""
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        handler = self._server()
        session = Session(
            Connection(handler, lambda: self._leave(handler)),
            key,
            admission,
            caller,
            unknown,
            netns,
        )
        self._sessions[handler] = session
        task = self._loop.create_task(self._connect(connection, session))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: socket.socket, session: Session) -> None:
        await self._loop.connect_accepted_socket(lambda: session.connection, connection)

    def _leave(self, handler: web.RequestHandler) -> None:
        self.limits.leave(self._sessions.pop(handler).key)


def refuse(connection: socket.socket, answer: bytes) -> None:
    """Send the answer, if the kernel's buffer has room, and close the connection."""
    with connection:
        connection.setblocking(False)
        try:
            connection.send(answer)
        except OSError:  # the caller has disconnected already
            return
