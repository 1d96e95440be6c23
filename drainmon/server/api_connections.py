"""GET /v1/pods/{number}/connections: a pod's connections, the first of them."""

from aiohttp import web

from drainmon.server.keys import NODE
from drainmon.server.looks import LOOKS
from drainmon.server.replies import reply


async def get_pod_connections(request: web.Request) -> web.Response:
    wanted = request.match_info["number"]
    for pod in request.app[NODE].pods():
        if str(pod.number) == wanted:
            return reply(await request.app[LOOKS].at(pod))
    raise web.HTTPNotFound(reason="no such pod")
