"""GET /v1/pods/{number}/connections: the first of a pod's connections."""

import time

from aiohttp import web

from drainmon.model.snapshot import Snapshot
from drainmon.pods.pod import Pod
from drainmon.server.keys import NODE
from drainmon.server.replies import reply
from drainmon.server.services import Node
from drainmon.server.shared_snapshots import SNAPSHOTS


async def get_pod_connections(request: web.Request) -> web.Response:
    node, wanted = request.app[NODE], request.match_info["number"]
    pod = next((pod for pod in node.pods() if str(pod.number) == wanted), None)
    if pod is None:
        raise web.HTTPNotFound(reason="no such pod")
    return reply(await request.app[SNAPSHOTS].of(pod, lambda: _snapshot(node, pod)))


async def _snapshot(node: Node, pod: Pod) -> Snapshot:
    now = time.monotonic()
    return await node.compare(pod) or Snapshot(now, now)  # the pod's processes have ended
