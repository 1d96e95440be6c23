"""The HTTP application on the unix sockets: one table of method, path, access, handler."""

import asyncio
from dataclasses import dataclass

from aiohttp import web

from drainmon.server.access import Who, find_host
from drainmon.server.admission import admit
from drainmon.server.api_connections import get_pod_connections
from drainmon.server.api_drains import get_drains
from drainmon.server.api_health import get_health
from drainmon.server.api_metrics import get_metrics
from drainmon.server.api_pods import get_pods
from drainmon.server.api_self import get_connections, get_self, post_drain
from drainmon.server.keys import (
    CALLER,
    CALLERS_NODE,
    DRAINS,
    HOST,
    LIMITS,
    METRICS,
    NODE,
    RECORDS,
    SESSION,
    SESSIONS,
)
from drainmon.server.limits import ANSWER_SECONDS, Limits
from drainmon.server.replies import Handler, errors_as_json
from drainmon.server.services import CallersNode, Drains, Metrics
from drainmon.server.shared_snapshots import OWN_SNAPSHOTS, SNAPSHOTS, SharedSnapshots


@dataclass(frozen=True)
class Route:
    """A route. `seconds` is how long an answer may take; None where the client's own timeout
    counts."""

    method: str
    path: str
    who: Who
    handler: Handler
    seconds: float | None = ANSWER_SECONDS


ROUTES = (
    Route("GET", "/v1/pods", Who.HOST_ROOT, get_pods),
    Route("GET", "/v1/pods/{number}/connections", Who.HOST_ROOT, get_pod_connections),
    Route("GET", "/v1/self", Who.CALLER, get_self),
    Route("GET", "/v1/self/connections", Who.CALLER, get_connections),
    Route("POST", "/v1/self/drain", Who.POD_OR_ROOT, post_drain, seconds=None),
    Route("GET", "/v1/drains", Who.HOST_ROOT, get_drains),
    Route("GET", "/metrics", Who.HOST_ROOT, get_metrics),
    Route("GET", "/healthz", Who.ANYBODY, get_health),
)

MAX_BODY = 4096


def make_app(
    node: CallersNode, drains: Drains, metrics: Metrics, limits: Limits
) -> web.Application:
    """The application, for a `UnixSite`."""
    app = web.Application(middlewares=[errors_as_json, admit], client_max_size=MAX_BODY)
    app[NODE] = app[CALLERS_NODE] = node
    app[RECORDS] = app[DRAINS] = drains
    app[METRICS] = metrics
    app[HOST] = find_host()
    app[LIMITS] = limits
    app[SESSIONS] = {}
    app[SNAPSHOTS], app[OWN_SNAPSHOTS] = SharedSnapshots(), SharedSnapshots()
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _guarded(route))
    return app


def _guarded(route: Route) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if route.who is not Who.ANYBODY:
            _identify(route, request)
        try:
            async with asyncio.timeout(route.seconds) as timer:
                return await route.handler(request)
        except TimeoutError:
            if not timer.expired():
                raise
            raise web.HTTPServiceUnavailable(
                reason=f"the answer takes longer than {route.seconds:g} s"
            ) from None

    return handle


def _identify(route: Route, request: web.Request) -> None:
    session = request[SESSION]
    if session.caller is None:
        raise PermissionError(session.unknown)
    session.caller.verify()
    if not request.app[HOST].may(route.who, session.caller):
        raise PermissionError(f"cannot {route.method} {route.path}: only {route.who.value} may")
    request[CALLER] = session.caller
