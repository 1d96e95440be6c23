"""GET /v1/drains: the records of drains, the latest first."""

from dataclasses import asdict

from aiohttp import web

from drainmon.server.keys import DRAINS
from drainmon.server.replies import reply


async def get_drains(request: web.Request) -> web.Response:
    return reply({"drains": [asdict(record) for record in request.app[DRAINS].records()]})
