"""The HTTP applications: for pods on unix sockets and on a port in their network namespaces; for
people and Prometheus over TCP."""

import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from drainmon.daemon.drains import Drains
from drainmon.daemon.node import Node
from drainmon.metrics.exposition import Exposition
from drainmon.server import tcp_site
from drainmon.server.app import make_app
from drainmon.server.gate import Gate
from drainmon.server.in_pod import FOLLOWED, make_in_pod_app
from drainmon.server.limits import Limits
from drainmon.server.node_addresses import NodeAddresses
from drainmon.server.port_site import PortSite
from drainmon.server.seats import make_runner
from drainmon.server.unix_site import UnixSite
from drainmon.server.web_app import make_web_app

SHUTDOWN = 0.5
"""Seconds that requests get when the daemon stops; waiting clients then count by themselves."""

KEEP_ALIVE = 60.0
"""Seconds that an idle connection stays open: longer than a scrape interval."""


@dataclass(frozen=True)
class Served:
    """What the applications show, and the limits of each pod."""

    node: Node
    drains: Drains
    metrics: Exposition
    limits: Limits


@contextlib.asynccontextmanager
async def unix_application(served: Served) -> AsyncIterator[UnixSite]:
    """Serve callers that are identified by their process, until the block ends."""
    app = make_app(served.node, served.drains, served.metrics, served.limits)
    async with _set_up(make_runner(app, SHUTDOWN)) as runner:
        yield UnixSite(runner)


class InPod:
    """The application on the port in pods' network namespaces; `site` takes its connections."""

    def __init__(self, runner: web.AppRunner, drains: Drains, node: NodeAddresses) -> None:
        self._followed = runner.app[FOLLOWED]
        self.site = PortSite(runner, node, drains.statistics.refused_caller)

    async def finish(self) -> None:
        """Return when the last drain has ended: its client would not ask the next daemon."""
        await self._followed.finish()


@contextlib.asynccontextmanager
async def in_pod_application(served: Served) -> AsyncIterator[InPod]:
    """Serve callers that are identified by their address, until the block ends."""
    app = make_in_pod_app(served.node, served.node.pod_in, served.drains, served.limits)
    with contextlib.closing(NodeAddresses()) as node:
        async with _set_up(make_runner(app, SHUTDOWN)) as runner:
            yield InPod(runner, served.drains, node)


@contextlib.asynccontextmanager
async def web_application(
    served: Served, listener: socket.socket, name: str
) -> AsyncIterator[None]:
    """Serve the web page and the metrics until the block ends; `name` is the host of --listen."""
    connections = tcp_site.Connections()
    app = make_web_app(served.node, served.drains, served.metrics, connections, Gate([name]))
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
