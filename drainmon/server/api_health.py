"""GET /healthz: whether the daemon works, and by which source."""

from aiohttp import web

from drainmon import __version__
from drainmon.server.keys import NODE
from drainmon.server.replies import reply


async def get_health(request: web.Request) -> web.Response:
    node = request.app[NODE]
    return reply(
        {
            "status": "ok",
            "source": node.source_name,
            "version": __version__,
            "drift": node.drift,
            "missed": node.missed(),
        }
    )
