"""docs/api.md has each route that the daemon serves, in the part about its way in, and no other."""

import re
from pathlib import Path
from typing import Any, cast

from aiohttp import web

from drainmon.server.app import make_app
from drainmon.server.gate import Gate
from drainmon.server.in_pod import make_in_pod_app
from drainmon.server.limits import Limits
from drainmon.server.tcp_site import Connections
from drainmon.server.web_app import make_web_app

ROOT = Path(__file__).parents[2]
NOTHING = cast(Any, None)
"""In place of what only handlers use."""

_ROW = re.compile(r"^\| (?:([A-Z]+) )?(/\S*) \|", re.MULTILINE)


def part(title: str) -> str:
    """The text of api.md below a heading of the first level."""
    parts = re.split(r"^# (.*)$", (ROOT / "docs" / "api.md").read_text(), flags=re.MULTILINE)
    return parts[parts.index(title) + 1]


def served(app: web.Application) -> set[tuple[str, str]]:
    """Method and path of each route but HEAD's, which aiohttp adds to GET."""
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource and route.method != "HEAD"
    }


def documented(text: str) -> set[tuple[str, str]]:
    return set(_ROW.findall(text))


def test_the_routes_of_unix_sockets_are_documented() -> None:
    app = make_app(NOTHING, NOTHING, NOTHING, Limits(1000))
    assert served(app) == documented(part("HTTP API on unix sockets"))


def test_the_routes_of_the_port_in_pods_are_documented() -> None:
    app = make_in_pod_app(NOTHING, NOTHING, NOTHING, Limits(1000))
    assert served(app) == documented(part("On a port in the pod"))


async def test_the_routes_over_tcp_are_documented() -> None:
    """The first paragraph names those that the sockets have too, all of GET."""
    gate, connections = Gate(["node"]), Connections(lambda: 0.0)
    app = make_web_app(NOTHING, NOTHING, NOTHING, connections, gate)
    text = part("Over TCP")
    paths = {path for _, path in documented(text)} | set(re.findall(r"`(/[^`]*)`", text))
    files = {one for one in served(app) if one[1].startswith("/page/")}
    assert files
    assert served(app) - files == {("GET", path) for path in paths}
