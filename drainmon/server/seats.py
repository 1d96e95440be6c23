"""Connections that are served: each knows whose it is before aiohttp reads a byte of it."""

import asyncio
import logging
import socket
from collections.abc import Hashable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from drainmon.server.connection import Connection
from drainmon.server.keys import LIMITS, SESSIONS
from drainmon.server.limits import READ_SECONDS, Admission
from drainmon.server.peer import Caller
from drainmon.server.session import Session

log = logging.getLogger(__name__)

SEND_BUFFER = 32768
"""Bytes that the kernel keeps for a caller who does not read; it takes as much again for itself."""


def make_runner(app: web.Application, shutdown: float) -> web.AppRunner:
    """A runner whose connections come from `Seats`. When it is cleaned up, what is being answered
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


class Seats:
    """Hands connections to a runner that is set up, and keeps its sessions."""

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
        """Serve a connection that `limits` has let in under `key`; the rest is the session's."""
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
    """Say so, if there is room for it, and hang up."""
    with connection:
        connection.setblocking(False)
        try:
            connection.send(answer)
        except OSError:  # it has left already
            return
