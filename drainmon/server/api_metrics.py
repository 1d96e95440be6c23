"""GET /metrics: the daemon's metrics in Prometheus's text format."""

from aiohttp import web

from drainmon.server.keys import METRICS


async def get_metrics(request: web.Request) -> web.Response:
    body = await request.app[METRICS].text()
    return web.Response(
        body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    )
