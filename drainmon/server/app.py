"""The HTTP application on the unix socket: one table of method, path, who may, handler."""

from dataclasses import dataclass
from enum import Enum, auto

from aiohttp import web

from drainmon.server import peer
from drainmon.server.api_connections import get_pod_connections
from drainmon.server.api_drains import get_drains
from drainmon.server.api_health import get_health
from drainmon.server.api_metrics import get_metrics
from drainmon.server.api_pods import get_pods
from drainmon.server.api_self import get_connections, get_self, post_drain
from drainmon.server.keys import CALLER, DRAINS, HOST, METRICS, NODE
from drainmon.server.looks import LOOKS, Looks
from drainmon.server.replies import Handler, errors_as_json
from drainmon.server.services import Drains, Metrics, Node


class Who(Enum):
    ANYBODY = auto()
    """Also a process that the daemon cannot see: nobody is asked."""
    CALLER = auto()
    """Any process that the kernel identifies."""
    HOST_ROOT = auto()


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    who: Who
    handler: Handler


ROUTES = (
    Route("GET", "/v1/pods", Who.HOST_ROOT, get_pods),
    Route("GET", "/v1/pods/{number}/connections", Who.HOST_ROOT, get_pod_connections),
    Route("GET", "/v1/self", Who.CALLER, get_self),
    Route("GET", "/v1/self/connections", Who.CALLER, get_connections),
    Route("POST", "/v1/self/drain", Who.CALLER, post_drain),
    Route("GET", "/v1/drains", Who.HOST_ROOT, get_drains),
    Route("GET", "/metrics", Who.HOST_ROOT, get_metrics),
    Route("GET", "/healthz", Who.ANYBODY, get_health),
)

MAX_BODY = 4096


def make_app(node: Node, drains: Drains, metrics: Metrics) -> web.Application:
    """The application. Callers are identified by their end of the unix socket."""
    app = web.Application(middlewares=[errors_as_json], client_max_size=MAX_BODY)
    app[NODE] = node
    app[DRAINS] = drains
    app[METRICS] = metrics
    app[LOOKS] = Looks(node)
    app[HOST] = peer.host_namespaces()
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _guarded(route))
    return app


def _guarded(route: Route) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if route.who is Who.ANYBODY:
            return await route.handler(request)
        if request.transport is None:
            raise PermissionError("cannot tell who calls: the connection is closed")
        caller = peer.identify(request.transport.get_extra_info("socket"))
        on_host = caller.netns in request.app[HOST] and not caller.owner.contained
        host_root = caller.uid == 0 and on_host
        if route.who is Who.HOST_ROOT and not host_root:
            raise PermissionError(f"cannot {route.method} {route.path}: only root of the host may")
        request[CALLER] = caller
        return await route.handler(request)

    return handle
