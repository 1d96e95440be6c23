"""The HTTP application on the port in pods' network namespaces, for `preStop.httpGet`: the drain
and the counts of the pod that received the connection. `PortSite` admits the node only."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from aiohttp import web

from drainmon.drain.policy import Policy
from drainmon.pods.pod import Pod
from drainmon.server import api_pods
from drainmon.server.admission import admit
from drainmon.server.followed import Followed
from drainmon.server.keys import DRAINS, LIMITS, NODE, SESSION, SESSIONS
from drainmon.server.limits import Limits
from drainmon.server.query import parse_query
from drainmon.server.replies import errors_as_json, reply
from drainmon.server.services import Drains, Node

FindPod = Callable[[int], Awaitable[tuple[Pod, int]]]
"""Returns the pod of a network namespace, and the pid of one of its processes. Raises OSError when
no nginx runs there any more."""

FIND_POD: web.AppKey[FindPod] = web.AppKey("find_pod")
FOLLOWED: web.AppKey[Followed] = web.AppKey("followed", Followed)


def make_in_pod_app(
    node: Node, find_pod: FindPod, drains: Drains, limits: Limits
) -> web.Application:
    """The application, made inside a running event loop."""
    app = web.Application(middlewares=[errors_as_json, admit])
    app[NODE] = node
    app[FIND_POD] = find_pod
    app[DRAINS] = drains
    app[LIMITS] = limits
    app[SESSIONS] = {}
    app[FOLLOWED] = Followed()
    app.on_response_prepare.append(_close)
    app.cleanup_ctx.append(_followed)
    app.router.add_get("/drain", get_drain, allow_head=False)
    app.router.add_get("/count", get_count)
    return app


async def _close(_: web.Request, response: web.StreamResponse) -> None:
    """Close the connection after the answer: an open one keeps the pod's network namespace
    alive."""
    response.force_close()


async def _followed(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[FOLLOWED].abandon()


async def get_count(request: web.Request) -> web.Response:
    pod, _ = await request.app[FIND_POD](request[SESSION].netns)
    return reply(api_pods.describe(pod, await request.app[NODE].counts(pod)))


async def get_drain(request: web.Request) -> web.Response:
    """Answer with the last line of the drain, when it has ended."""
    app, netns = request.app, request[SESSION].netns
    policy = parse_query(request.query.items())
    line = await app[FOLLOWED].last_line((netns, policy), lambda: _drain(app, netns, policy))
    return reply(line)


async def _drain(
    app: web.Application, netns: int, policy: Policy
) -> AsyncGenerator[dict[str, Any], None]:
    with app[LIMITS].drain(netns, time.monotonic()) as wait:
        await asyncio.sleep(wait)
        pod, pid = await app[FIND_POD](netns)
        async with aclosing(app[DRAINS].drain(pod, pid, policy, _still_asked)) as lines:
            async for line in lines:
                yield line


def _still_asked() -> None:
    """Never raise: a drain without callers soon ends by itself."""
