"""Checks before a request is handled: its connection is served, it is the pod's turn, and the whole
request has arrived in time."""

import asyncio
import time

from aiohttp import web

from drainmon.server.keys import LIMITS, SESSION, SESSIONS
from drainmon.server.limits import READ_SECONDS, Admission, TooMany
from drainmon.server.replies import Handler


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Handle a request that is admitted. Raises TooMany, or an HTTPException for an incomplete
    request."""
    session = request.app[SESSIONS].get(request.protocol)
    if session is None:
        raise PermissionError("cannot identify the caller: the connection is closed")
    limits = request.app[LIMITS]
    await asyncio.sleep(limits.request(session.key, time.monotonic()))
    if session.admission is Admission.EXCESS:
        raise TooMany(f"cannot answer: this pod has {limits.connections} connections open already")
    try:
        async with asyncio.timeout(READ_SECONDS):
            await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the body did not arrive") from None
    request[SESSION] = session
    with session.connection.answering():
        return await handler(request)
