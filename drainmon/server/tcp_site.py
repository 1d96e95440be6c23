"""The TCP side of the web application: limits the number of connections, and of silent ones."""

import asyncio
import socket
import time
from collections.abc import Callable

from aiohttp import web

from drainmon.server.replies import Handler

MAX_CONNECTIONS = 128

SILENT_FOR = 10.0
"""Seconds for the first request of a new connection, when others need its place."""

SETTING_UP = 1.0
"""Seconds after which a new connection must be among the server's."""

BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Content-Type: application/json\r\n"
    b"Connection: close\r\n\r\n"
    b'{"error":"cannot answer: too many connections"}\n'
)


class Connections:
    """Counts connections, and drops those without a request when too many are open. `clock` returns
    monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._silent: dict[web.RequestHandler, float] = {}

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._silent.pop(request.protocol, None)
        return await handler(request)

    def accept(self, server: web.Server) -> asyncio.Protocol:
        """The protocol for a new connection."""
        now = self._clock()
        alive = set(server.connections)
        self._silent = {
            handler: since
            for handler, since in self._silent.items()
            if handler in alive or now - since < SETTING_UP
        }
        if len(alive | self._silent.keys()) >= MAX_CONNECTIONS and not self._drop_silent(now):
            return _Busy()
        handler = server()
        self._silent[handler] = now
        return handler

    def _drop_silent(self, now: float) -> bool:
        silent = [h for h, since in self._silent.items() if now - since > SILENT_FOR]
        for handler in silent:
            handler.force_close()
        return bool(silent)


class _Busy(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(BUSY)
        transport.close()


async def start(
    runner: web.AppRunner, listener: socket.socket, connections: Connections
) -> asyncio.Server:
    """Serve a runner that is set up. Close the server before the runner is cleaned up."""
    server = runner.server
    if server is None:
        raise RuntimeError("cannot serve: the runner is not set up")
    return await asyncio.get_running_loop().create_server(
        lambda: connections.accept(server), sock=listener
    )
