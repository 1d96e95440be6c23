"""GET /v1/drains: drain records, latest first."""

import asyncio
from dataclasses import asdict

from aiohttp import web

from drainmon.server.keys import RECORDS
from drainmon.server.replies import dumps


async def get_drains(request: web.Request) -> web.StreamResponse:
    """Write one record at a time: there may be a thousand, each with many connections."""
    response = web.StreamResponse()
    response.content_type = "application/json"
    response.charset = "utf-8"
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    before = '{"drains":['
    for record in request.app[RECORDS].records():
        await response.write((before + dumps(asdict(record))).encode())
        await asyncio.sleep(0)
        before = ","
    await response.write(("]}\n" if before == "," else before + "]}\n").encode())
    return response
