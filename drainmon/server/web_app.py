"""The HTTP application on the TCP address: to be read by people and by Prometheus, nothing else.

Who asks is not known here, so whoever reaches the address may read all that this table has.
"""

from aiohttp import web

from drainmon.server.api_drains import get_drains
from drainmon.server.api_health import get_health
from drainmon.server.api_metrics import get_metrics
from drainmon.server.api_pods import get_pods
from drainmon.server.gate import Gate, harden
from drainmon.server.keys import DRAINS, METRICS, NODE
from drainmon.server.replies import errors_as_json
from drainmon.server.services import Drains, Metrics, Node
from drainmon.server.tcp_site import Connections

ROUTES = {
    "/healthz": get_health,
    "/metrics": get_metrics,
    "/v1/drains": get_drains,
    "/v1/pods": get_pods,
}
"""All answer GET and HEAD."""


def make_web_app(
    node: Node, drains: Drains, metrics: Metrics, connections: Connections, gate: Gate
) -> web.Application:
    """The application; `connections` is told of each request, `gate` decides about it."""
    app = web.Application(middlewares=[connections.middleware, errors_as_json, gate.middleware])
    app[NODE] = node
    app[DRAINS] = drains
    app[METRICS] = metrics
    app.on_response_prepare.append(harden)
    for path, handler in ROUTES.items():
        app.router.add_get(path, handler)
    return app
