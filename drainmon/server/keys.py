"""What handlers find in the application and in a request."""

from aiohttp import web

from drainmon.server.peer import Caller
from drainmon.server.services import Drains, Node

NODE: web.AppKey[Node] = web.AppKey("node", Node)
DRAINS: web.AppKey[Drains] = web.AppKey("drains", Drains)

CALLER = "caller"
"""Key of the request: the `Caller`, put there before any handler runs."""


def caller_of(request: web.Request) -> Caller:
    caller: Caller = request[CALLER]
    return caller
