"""GET /v1/events: the node as it changes, as server-sent events."""

import logging
from collections.abc import AsyncGenerator

from aiohttp import hdrs, web

from drainmon.server.feed import FEED

log = logging.getLogger(__name__)


async def get_events(request: web.Request) -> web.StreamResponse:
    # A proxy must not buffer events.
    response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})
    response.content_type = "text/event-stream"
    if request.method == hdrs.METH_HEAD:
        return response
    frames = request.app[FEED].follow()
    try:
        first = await anext(frames)
        await response.prepare(request)
        await response.write(first)
        await _forward(frames, response)
    finally:
        await frames.aclose()
    return response


async def _forward(frames: AsyncGenerator[bytes, None], response: web.StreamResponse) -> None:
    try:
        async for frame in frames:
            await response.write(frame)
    except ConnectionError:
        pass  # the browser has disconnected
    except OSError as error:
        log.warning("cannot read the node", extra={"error": str(error)})
