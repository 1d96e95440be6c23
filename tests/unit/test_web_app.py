"""The TCP interface: its clients, its limits, and what browsers may do with it."""

import asyncio
import dataclasses
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from drainmon.metrics.exposition import Exposition
from drainmon.model.counts import Counts
from drainmon.model.snapshot import Snapshot
from drainmon.pods.pod import Pod
from drainmon.server import feed, tcp_site
from drainmon.server.gate import HEADERS, Gate
from drainmon.server.listen import Address, bind, bound
from drainmon.server.shared_snapshots import SHOWN
from drainmon.server.web_app import ROUTES, make_web_app
from tests.unit.made_up import POD, FakeDrains, FakeNode
from tests.unit.sockets import established, snapshot, unused


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Web:
    """The application, served at `url`."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.node = FakeNode()
        self.clock = Clock()
        self.connections = tcp_site.Connections(self.clock)

    async def start(self) -> None:
        metrics = Exposition(self.node, FakeDrains())
        app = make_web_app(self.node, FakeDrains(), metrics, self.connections, Gate(["node7"]))
        self.feed = app[feed.FEED]
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        listener = bind(Address("127.0.0.1", 0))
        self.address = bound(listener)
        server = await tcp_site.start(runner, listener, self.connections)
        self._stack.callback(server.close)
        self.session = await self._stack.enter_async_context(aiohttp.ClientSession())
        self.url = f"http://{self.address}"

    async def ask(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[int, aiohttp.ClientResponse, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, self.url + path, headers=named) as response:
            return response.status, response, await response.text()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.address.host, self.address.port)


@pytest.fixture
async def served() -> AsyncIterator[Web]:
    async with AsyncExitStack() as stack:
        served = Web(stack)
        await served.start()
        yield served


READ_AT_ONCE = sorted(ROUTES.keys() - {"/v1/events", "/v1/pods/{number}/connections"})


@pytest.mark.parametrize("path", [*READ_AT_ONCE, "/v1/pods/1/connections", "/", "/page/main.js"])
async def test_every_route_is_read_only(served: Web, path: str) -> None:
    assert (await served.ask(path))[0] == 200
    assert (await served.ask(path, "HEAD"))[0] == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        assert (await served.ask(path, method))[0] == 405


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/v1/self", "/v1/self/drain"])
async def test_security_headers_are_sent(served: Web, path: str) -> None:
    _, response, _ = await served.ask(path)
    for name, value in HEADERS.items():
        assert response.headers.getall(name) == [value]
    assert "Access-Control-Allow-Origin" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"


async def test_the_event_stream_is_served(served: Web) -> None:
    assert (await served.ask("/v1/events", "HEAD"))[0] == 200
    assert (await served.ask("/v1/events", "POST"))[0] == 405
    async with served.session.get(served.url + "/v1/events") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        line = await response.content.readline()
        assert line.startswith(b'data: {"time":')
        assert b'"full":true' in line


async def test_a_follower_that_does_not_read_is_dropped(
    served: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "READ_SHARE", 1)
    served.feed._interval = 0.001
    served.node.known = [dataclasses.replace(POD, number=n) for n in range(300)]
    turns = 0

    async def changing(pod: Pod) -> Counts:
        nonlocal turns
        turns += pod.number == 0
        return Counts({}, turns, None)

    monkeypatch.setattr(served.node, "counts", changing)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with connection:
        connection.connect((served.address.host, served.address.port))
        connection.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        # The node is read while the kernel takes the stream's data, then no more.
        before = -1
        async with asyncio.timeout(20):
            while before != turns or not turns:
                before = turns
                await asyncio.sleep(0.3)
        assert served.feed.followers == 1
    async with asyncio.timeout(5):
        while served.feed.followers:  # noqa: ASYNC110  # no event when one leaves
            await asyncio.sleep(0.01)


async def test_too_many_followers_get_503(served: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_FOLLOWERS", 0)
    status, _, text = await served.ask("/v1/events")
    assert status == 503
    assert json.loads(text)["error"] == "cannot GET /v1/events: 0 clients follow already"


async def test_a_source_that_breaks_ends_the_stream(served: Web) -> None:
    async with served.session.get(served.url + "/v1/events") as response:
        await response.content.readline()

        async def break_(pod: Pod) -> Counts:
            raise OSError("cannot read the counters: gone")

        served.node.counts = break_  # type: ignore[method-assign]
        rest = await response.content.read()
    assert b"HTTP/1.1" not in rest


async def test_a_pods_connections_are_served(served: Web) -> None:
    status, _, text = await served.ask("/v1/pods/1/connections")
    assert status == 200
    answer = json.loads(text)
    assert (answer["total"], answer["by_state"]) == (1, {"ESTABLISHED": 1})
    assert [c["remote"] for c in answer["connections"]] == ["192.0.2.1:40000"]
    assert answer["listeners"] == [{"port": 80, "unaccepted": 1, "limit": 511}]
    for number in ("2", "x", "01", "../1"):
        assert (await served.ask(f"/v1/pods/{number}/connections"))[0] == 404
    # A repeated request gets the same look.
    served.node.broken = True
    assert (await served.ask("/v1/pods/1/connections"))[2] == text


async def test_hidden_connections_are_an_error(served: Web) -> None:
    served.node.broken = True
    status, _, text = await served.ask("/v1/pods/1/connections")
    assert status == 503
    assert "it is gone" in json.loads(text)["error"]


async def test_only_the_first_connections_are_shown(served: Web) -> None:
    idle = [unused()._replace(remote_port=1 + n) for n in range(300)]
    busy = [established(90.0 - n)._replace(remote_port=1000 + n) for n in range(3)]

    async def many(pod: Pod) -> Snapshot:
        return snapshot(100.0, *idle, *busy)

    served.node.compare = many  # type: ignore[method-assign]
    answer = json.loads((await served.ask("/v1/pods/1/connections"))[2])
    assert (answer["total"], len(answer["connections"])) == (303, SHOWN)
    first = [c["remote"] for c in answer["connections"][:3]]
    assert first == ["192.0.2.1:1002", "192.0.2.1:1001", "192.0.2.1:1000"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/page/main.js", "text/javascript; charset=utf-8"),
        ("/page/layout.css", "text/css; charset=utf-8"),
        ("/page/uplot/uPlot.esm.js", "text/javascript; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
    ],
)
async def test_the_pages_files_are_served(served: Web, path: str, kind: str) -> None:
    status, response, _ = await served.ask(path)
    assert (status, response.headers["Content-Type"]) == (200, kind)
    assert response.headers["Cache-Control"] == "no-cache"
    tag = response.headers["ETag"]
    assert (await served.ask(path, If_None_Match=tag))[0] == 304


async def test_no_other_file_is_served(served: Web) -> None:
    for path in ("/page/package.json", "/page/", "/page/../app.py", "/page/%2e%2e/app.py",
                 "/page//etc/passwd", "/page/index.html", "/page/uplot/LICENSE"):  # fmt: skip
        status, _, _ = await served.ask(path)
        assert status == 404


async def test_links_from_other_sites_lead_to_the_page(served: Web) -> None:
    followed = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert (await served.ask("/", **followed))[0] == 200
    assert (await served.ask("/page/main.js", Sec_Fetch_Site="cross-site"))[0] == 403


async def test_routes_for_pods_are_not_served_over_tcp(served: Web) -> None:
    for path in ("/v1/self", "/v1/self/connections", "/v1/self/drain"):
        assert (await served.ask(path))[0] == 404
        assert (await served.ask(path, "POST"))[0] == 404


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "localhost.", "127.0.0.1:9935", "[::1]:9935", "[::1]", "10.1.2.3",
     "node7", "Node7:80", socket.gethostname()],
)  # fmt: skip
async def test_names_of_this_node_are_accepted(served: Web, host: str) -> None:
    assert (await served.ask("/healthz", Host=host))[0] == 200


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "node7.evil.example",
     "user@evil.example", "evil.example:9935", "localhost@evil.example", "[::1", "[evil]",
     "0x7f.1"],
)  # fmt: skip
async def test_names_of_other_hosts_are_refused(served: Web, host: str) -> None:
    status, _, text = await served.ask("/v1/pods", Host=host)
    assert status == 403
    assert "is not a name of this node" in text


async def test_a_request_without_a_host_is_refused(served: Web) -> None:
    reader, writer = await served.connect()
    writer.write(b"GET /v1/pods HTTP/1.0\r\n\r\n")
    assert b" 403 " in (await reader.read()).splitlines()[0]
    writer.close()


async def test_other_origins_are_refused(served: Web) -> None:
    own = f"http://{served.address}"
    assert (await served.ask("/v1/pods", Origin=own))[0] == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", f"{own}.evil.example"):
        assert (await served.ask("/v1/pods", Origin=origin))[0] == 403
    for site, status in [
        ("none", 200), ("same-origin", 200), ("same-site", 403), ("cross-site", 403),
    ]:  # fmt: skip
        assert (await served.ask("/v1/pods", Sec_Fetch_Site=site))[0] == status
    followed = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert (await served.ask("/v1/pods", **followed))[0] == 403


async def test_silent_connections_make_room_for_others(
    served: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_site, "MAX_CONNECTIONS", 3)
    # One that sends a request, and two that stay silent.
    async with served.session.get(served.url + "/healthz") as response:
        assert response.status == 200
    silent = [await served.connect() for _ in range(2)]
    reader, writer = await served.connect()
    assert b" 503 " in (await reader.read()).splitlines()[0]
    writer.close()
    # After a while silent connections make room; the one with a request stays.
    served.clock.now = tcp_site.SILENT_FOR + 1
    reader, writer = await served.connect()
    writer.write(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert b" 200 " in (await reader.read()).splitlines()[0]
    writer.close()
    for reader, writer in silent:
        assert await reader.read() == b""
        writer.close()
    assert (await served.ask("/healthz"))[0] == 200


async def test_malformed_http_does_not_end_the_server(served: Web) -> None:
    for noise in (b"\0\xff\x16\x03", b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100_000):
        reader, writer = await served.connect()
        writer.write(noise)
        writer.write_eof()
        await reader.read()
        writer.close()
    assert (await served.ask("/healthz"))[0] == 200
