"""The HTTP application on the TCP address: read-only, for people and Prometheus.

Callers are not identified here: anyone who can connect may read every route in this table.
"""

from aiohttp import web

from drainmon.server import assets
from drainmon.server.api_connections import get_pod_connections
from drainmon.server.api_drains import get_drains
from drainmon.server.api_events import get_events
from drainmon.server.api_health import get_health
from drainmon.server.api_metrics import get_metrics
from drainmon.server.api_pods import get_pods
from drainmon.server.feed import FEED, Feed
from drainmon.server.gate import Gate, harden
from drainmon.server.keys import METRICS, NODE, RECORDS
from drainmon.server.replies import errors_as_json
from drainmon.server.services import DrainRecords, Metrics, Node
from drainmon.server.shared_snapshots import SNAPSHOTS, SharedSnapshots
from drainmon.server.tcp_site import Connections

ROUTES = {
    "/healthz": get_health,
    "/metrics": get_metrics,
    "/v1/drains": get_drains,
    "/v1/events": get_events,
    "/v1/pods": get_pods,
    "/v1/pods/{number}/connections": get_pod_connections,
}
"""Handlers of GET and HEAD; the page's files are added to them."""


def make_web_app(
    node: Node, drains: DrainRecords, metrics: Metrics, connections: Connections, gate: Gate
) -> web.Application:
    """The application, made inside a running event loop. `connections` sees each request, `gate`
    checks it."""
    app = web.Application(middlewares=[connections.middleware, errors_as_json, gate.middleware])
    app[NODE] = node
    app[RECORDS] = drains
    app[METRICS] = metrics
    app[FEED] = Feed(node, drains)
    app[SNAPSHOTS] = SharedSnapshots()
    app.on_response_prepare.append(harden)
    for path, handler in (ROUTES | assets.routes()).items():
        app.router.add_get(path, handler)
    return app
