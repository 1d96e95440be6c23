"""GET /v1/pods: every pod of the node with its counts."""

from typing import Any

from aiohttp import web

from drainmon.model.counts import Counts
from drainmon.model.snapshot import format_states
from drainmon.pods.pod import Pod
from drainmon.server.keys import NODE
from drainmon.server.replies import reply
from drainmon.turns import in_turns


def describe(pod: Pod, counts: Counts) -> dict[str, Any]:
    """One pod for JSON."""
    return {
        "pod": pod.label,
        "number": pod.number,
        "namespace": pod.identity.namespace,
        "name": pod.identity.name,
        "uid": pod.identity.uid,
        "netns": pod.netns,
        "ports": sorted(pod.ports),
        "in_flight": counts.in_flight,
        "by_state": format_states(counts.by_state),
        "accepted": counts.accepted,
        "probes": counts.probes,
        "probes_accepted": counts.probes_accepted,
        "masters": [master.pid for master in pod.masters],
        "ways_in": list(pod.ways_in),
    }


async def get_pods(request: web.Request) -> web.Response:
    node = request.app[NODE]
    described = [
        describe(pod, await node.counts(pod))
        async for some in in_turns(node.pods())
        for pod in some
    ]
    return reply({"pods": described})
