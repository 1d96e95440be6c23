"""What may be asked over TCP, where the kernel does not tell who asks: by whom it looks to be
asked, and what a browser is allowed to do with the answer.

A web page from elsewhere must not read the node through its visitor's browser. It cannot under a
name of its own that it makes resolve to this node (DNS rebinding): the Host header must name this
node. An address in digits is always its own name, so any is accepted.
"""

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
"""Sec-Fetch-Site of the page's own requests, and of an address typed in."""


class Gate:
    """Lets requests through that name this node as their host: by address, as localhost, by the
    host's own name, or as one of `names`."""

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
            return "it comes from another origin"
        site = headers.get("Sec-Fetch-Site", "none")
        # A link from elsewhere may lead to the page; what is shown then is out of its reach.
        followed = headers.get("Sec-Fetch-Mode") == "navigate" and request.path == "/"
        if site not in FROM_HERE and not followed:
            return "it comes from another site"
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
    """Put what a browser must keep to on every answer."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
