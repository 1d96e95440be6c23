"""GET /healthz: whether the daemon works, and by which source."""

from aiohttp import web

from drainmon import __version__
from drainmon.server.keys import NODE
from drainmon.server.replies import reply


async def get_health(request: web.Request) -> web.Response:
    node = request.app[NODE]
    return reply(
        {
            "status": "degraded" if node.refused_sources else "ok",
            "source": node.source_name,
            "refused": node.refused_sources,
            "version": __version__,
            "drift": node.drift,
            "missed": node.missed(),
        }
    )
