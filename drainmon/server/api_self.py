"""/v1/self: the caller's own pod, its connections, its drain."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from aiohttp import web

from drainmon.drain.policy import Policy, fitted
from drainmon.drain.report import PORTS_REPORTED
from drainmon.model.counts import Counts
from drainmon.model.ignored import Ignored
from drainmon.pods.pod import Pod
from drainmon.server import api_pods
from drainmon.server.keys import CALLER, CALLERS_NODE, DRAINS, HOST, LIMITS, SESSION
from drainmon.server.replies import dumps, error, reply
from drainmon.server.shared_snapshots import OWN_SNAPSHOTS

NO_NGINX = "no nginx in this pod"

NOTHING = "no nginx here: nothing to drain"

UNSEEN = (
    "cannot drain: the daemon sees neither nginx nor a listener in this pod"
    " (it cannot see into sandboxed runtimes: gVisor, Kata)"
)


async def _own_pod(request: web.Request) -> Pod | None:
    caller = request[CALLER]
    return await request.app[CALLERS_NODE].pod_of(caller.netns, caller.owner)


async def get_self(request: web.Request) -> web.Response:
    pod = await _own_pod(request)
    caller = request[CALLER]
    caller.verify()
    if pod is None:
        empty = request.app[CALLERS_NODE].pod_without_nginx(caller.netns, caller.owner)
        return reply(api_pods.describe(empty, Counts()) | {"reason": NO_NGINX})
    return reply(api_pods.describe(pod, await request.app[CALLERS_NODE].counts(pod)))


async def get_connections(request: web.Request) -> web.Response:
    pod = await _own_pod(request)
    caller = request[CALLER]
    caller.verify()
    if pod is None:
        return reply({"connections": [], "reason": NO_NGINX})
    node = request.app[CALLERS_NODE]
    answer = await request.app[OWN_SNAPSHOTS].of(
        pod, lambda: node.snapshot_through(pod, caller.pid)
    )
    caller.verify()
    return reply(answer)


def parse_policy(body: bytes) -> Policy:
    """The policy in the body of a drain request. Unknown fields are ignored. Raises ValueError
    "cannot X: why"."""
    try:
        options = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"cannot drain: the options are not JSON: {error}") from None
    if not isinstance(options, Mapping):
        raise ValueError("cannot drain: the options are not a JSON object")
    ignored = Ignored.parse(_texts(options, "ignore_peers"), _texts(options, "ignore_ports"))
    known = {field.name for field in fields(Policy)} - {"ignored", "ports"}
    given = {name: value for name, value in options.items() if name in known}
    return fitted(Policy(**given, ignored=ignored, ports=_ports(options.get("ports", []))))


def _ports(numbers: Any) -> frozenset[int]:
    if not isinstance(numbers, list) or any(
        type(n) is not int or not 0 < n < 65536 for n in numbers
    ):
        raise ValueError(f"cannot drain: ports is not a list of ports: {numbers!r:.80}")
    if len(numbers) > PORTS_REPORTED:
        raise ValueError(f"cannot drain: more than {PORTS_REPORTED} ports")
    return frozenset(numbers)


def _texts(options: Mapping[str, Any], name: str) -> list[str]:
    values = options.get(name, [])
    if not isinstance(values, list) or any(type(value) not in {str, int} for value in values):
        raise ValueError(f"cannot drain: {name} is not a list of texts or numbers: {values!r}")
    return [str(value) for value in values]


async def post_drain(request: web.Request) -> web.StreamResponse:
    policy = parse_policy(await request.read())
    with request.app[LIMITS].drain(request[SESSION].key, time.monotonic()) as wait:
        await asyncio.sleep(wait)
        return await _drain(request, policy)


async def _drain(request: web.Request, policy: Policy) -> web.StreamResponse:
    caller = request[CALLER]
    node = request.app[CALLERS_NODE]
    pod = await node.pod_to_drain(caller.netns, caller.owner, caller.pid, policy.ports)
    caller.verify()
    if pod is None and caller.netns not in request.app[HOST].network:
        return error(404, UNSEEN)
    response = web.StreamResponse()
    response.content_type = "application/x-ndjson"
    if pod is None:
        await response.prepare(request)
        await _write(response, _nothing_to_drain(policy))
        return response
    lines = request.app[DRAINS].drain(pod, caller.pid, policy, caller.verify)
    try:
        first = await anext(lines, None)  # a drain that cannot begin can still be an error
        await response.prepare(request)
        if first:
            caller.verify()
            await _write(response, first)
        async for line in lines:
            caller.verify()
            await _write(response, line)
    except OSError:
        if not response.prepared:
            raise
        if request.transport:  # another process may read now; the client connects again
            request.transport.abort()
    finally:
        await lines.aclose()
    return response


async def _write(response: web.StreamResponse, line: Mapping[str, Any]) -> None:
    await response.write(dumps(line).encode() + b"\n")


def _nothing_to_drain(policy: Policy) -> dict[str, Any]:
    return {
        "phase": "drained",
        "in_flight": 0,
        "by_state": {},
        "elapsed": policy.elapsed,
        "reason": NOTHING,
        "result": "drained",
    }
