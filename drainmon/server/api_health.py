"""GET /healthz: whether the daemon works, and with which source."""

from typing import Any

from aiohttp import web

from drainmon import __version__
from drainmon.server.keys import NODE
from drainmon.server.replies import reply
from drainmon.server.services import Node


def describe_health(node: Node) -> dict[str, Any]:
    """The daemon's health for JSON."""
    return {
        "status": "degraded" if node.refused_sources else "ok",
        "source": node.source_name,
        "refused": node.refused_sources,
        "processes": node.process_names,
        "version": __version__,
        "drift": node.drift,
        "missed": node.missed(),
    }


async def get_health(request: web.Request) -> web.Response:
    return reply(describe_health(request.app[NODE]))
