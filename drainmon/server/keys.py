"""The keys of an application and of a request."""

from aiohttp import web

from drainmon.server.access import Host
from drainmon.server.connection import Session
from drainmon.server.limits import Limits
from drainmon.server.peer import Caller
from drainmon.server.services import CallersNode, DrainRecords, Drains, Metrics, Node

NODE: web.AppKey[Node] = web.AppKey("node", Node)
RECORDS: web.AppKey[DrainRecords] = web.AppKey("records", DrainRecords)
METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)

# Only applications for pods have the keys below.
CALLERS_NODE: web.AppKey[CallersNode] = web.AppKey("callers_node", CallersNode)
DRAINS: web.AppKey[Drains] = web.AppKey("drains", Drains)
HOST: web.AppKey[Host] = web.AppKey("host", Host)
LIMITS: web.AppKey[Limits] = web.AppKey("limits", Limits)

SESSIONS: web.AppKey[dict[web.RequestHandler, Session]] = web.AppKey("sessions", dict)
"""The sessions of open connections, by aiohttp's handler of the connection."""

SESSION: web.RequestKey[Session] = web.RequestKey("session", Session)
CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
"""Both are set before the handler of a route with access control runs."""
