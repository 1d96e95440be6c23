"""What handlers find in the application and in a request."""

from aiohttp import web

from drainmon.server.peer import Caller
from drainmon.server.services import Drains, Metrics, Node

NODE: web.AppKey[Node] = web.AppKey("node", Node)
DRAINS: web.AppKey[Drains] = web.AppKey("drains", Drains)

METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)
HOST: web.AppKey[frozenset[int]] = web.AppKey("host", frozenset)
"""The network namespaces whose root is the host's."""

CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
"""Put into the request before any handler runs."""
