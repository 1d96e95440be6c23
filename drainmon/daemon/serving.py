"""Both HTTP applications: for pods on the unix socket, for people and Prometheus over TCP."""

import contextlib
import socket
from collections.abc import AsyncIterator

from aiohttp import web

from drainmon.daemon.drains import Drains
from drainmon.daemon.node import Node
from drainmon.metrics.exposition import Exposition
from drainmon.server import tcp_site
from drainmon.server.app import make_app
from drainmon.server.gate import Gate
from drainmon.server.limits import Limits
from drainmon.server.unix_site import UnixSite, make_runner
from drainmon.server.web_app import make_web_app

SHUTDOWN = 0.5
"""Seconds that requests get when the daemon stops; waiting clients count by themselves then."""

KEEP_ALIVE = 60.0
"""Seconds that an idle connection is kept: longer than a scrape interval."""


@contextlib.asynccontextmanager
async def unix_application(
    node: Node, drains: Drains, metrics: Exposition, listener: socket.socket, limits: Limits
) -> AsyncIterator[None]:
    """Serve the pods until the block ends."""
    async with _set_up(make_runner(make_app(node, drains, metrics, limits), SHUTDOWN)) as runner:
        site = UnixSite(runner, listener)
        try:
            yield
        finally:
            site.close()


@contextlib.asynccontextmanager
async def web_application(
    node: Node, drains: Drains, metrics: Exposition, listener: socket.socket, name: str
) -> AsyncIterator[None]:
    """Serve the web page and the metrics until the block ends; `name` is what the listener's
    address was given as."""
    connections = tcp_site.Connections()
    app = make_web_app(node, drains, metrics, connections, Gate([name]))
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=SHUTDOWN,
        keepalive_timeout=KEEP_ALIVE,
    )
    async with _set_up(runner):
        server = await tcp_site.start(runner, listener, connections)
        try:
            yield
        finally:
            server.close()


@contextlib.asynccontextmanager
async def _set_up(runner: web.AppRunner) -> AsyncIterator[web.AppRunner]:
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()
