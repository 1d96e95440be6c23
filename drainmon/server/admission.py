"""Before a request is handled: its connection is one of those that are served, it is the pod's
turn, and it has come whole and in time."""

import asyncio
import time

from aiohttp import web

from drainmon.server.keys import LIMITS, SESSION, SESSIONS
from drainmon.server.limits import READ_SECONDS, Admission, TooMany
from drainmon.server.replies import Handler


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raises TooMany, or an HTTPException for a request that does not come."""
    session = request.app[SESSIONS].get(request.protocol)
    if session is None:
        raise PermissionError("cannot tell who calls: the connection is closed")
    limits = request.app[LIMITS]
    await asyncio.sleep(limits.request(session.key, time.monotonic()))
    if session.admission is Admission.TOLD:
        raise TooMany(f"cannot answer: this pod has {limits.connections} connections open already")
    try:
        async with asyncio.timeout(READ_SECONDS):
            await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="its body did not come") from None
    request[SESSION] = session
    with session.connection.answering():
        return await handler(request)
