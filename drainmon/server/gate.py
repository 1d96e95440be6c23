"""Checks requests over TCP, where callers are not identified, by their headers, and limits what a
browser may do with the answer.

A web page from elsewhere must not read the node through its visitor's browser. Such a page may make
a name of its own resolve to this node (DNS rebinding), so the Host header must name this node. An
IP address is accepted: it cannot be made to resolve to another one."""

import socket
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from drainmon.server.replies import Handler

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ]
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "drainmon",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

FROM_HERE = ("same-origin", "none")
"""Sec-Fetch-Site of the page's own requests, and of a typed address."""


class Gate:
    """Passes requests whose Host header names this node: an IP address, localhost, the host's own
    name, or one of `names`."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(map(str.lower, ("localhost", socket.gethostname(), *names)))

    def check(self, request: web.Request) -> None:
        """Raises PermissionError "cannot GET PATH: why"."""
        if why := self._why_not(request):
            raise PermissionError(f"cannot {request.method} {request.path}: {why}")

    def _why_not(self, request: web.Request) -> str | None:
        headers = request.headers
        host = headers.get("Host", "")
        if not self.knows(host):
            return f"{host!r} is not a name of this node"
        origin = headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return "the request comes from another origin"
        site = headers.get("Sec-Fetch-Site", "none")
        # Another site may link to the page, but cannot read it.
        followed = headers.get("Sec-Fetch-Mode") == "navigate" and request.path == "/"
        if site not in FROM_HERE and not followed:
            return "the request comes from another site"
        return None

    def knows(self, host: str) -> bool:
        """Whether a Host header names this node. Ports may differ: they are often forwarded."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ip_address(name)
        except ValueError:
            return name.removesuffix(".") in self._names
        return True

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.check(request)
        return await handler(request)


async def harden(_: web.Request, response: web.StreamResponse) -> None:
    """Add headers that restrict browsers to every answer."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
