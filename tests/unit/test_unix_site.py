"""Clients that open too much, send too much, too slowly or nothing, and never read."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from drainmon.server import admission, connection, peer, seats
from drainmon.server.acceptor import Acceptor
from drainmon.server.access import find_host
from drainmon.server.admission import admit
from drainmon.server.keys import HOST, LIMITS, SESSIONS
from drainmon.server.limits import EXCESS, REQUEST_BYTES, Limits
from drainmon.server.replies import errors_as_json, reply
from drainmon.server.seats import SEND_BUFFER, make_runner
from drainmon.server.unix_site import UnixSite
from drainmon.server.unix_socket import bind
from tests.unit.made_up import FakeUcred

PATIENCE = 0.3
"""Seconds in place of the real limits."""

GET = b"GET / HTTP/1.1\r\nHost: d\r\n\r\n"


class Site:
    """A site with room for two connections per pod, and the calls of its handlers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.limits = Limits(16)
        self.app = web.Application(middlewares=[errors_as_json, admit])
        self.app[HOST] = find_host()
        self.app[LIMITS] = self.limits
        self.app[SESSIONS] = {}
        self.app.router.add_get("/", self.get_nothing)
        self.app.router.add_post("/", self.get_nothing)
        self.app.router.add_get("/stream", self.get_stream)
        self.clients: list[Client] = []
        self.written = 0
        self.streaming = 0
        self.began = asyncio.Event()

    async def get_nothing(self, _: web.Request) -> web.Response:
        return reply({})

    async def get_stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        self.streaming += 1
        self.began.set()
        try:
            while True:
                await response.write(b"x" * 1000)
                self.written += 1000
                await asyncio.sleep(0)
        finally:
            self.streaming -= 1

    async def connect(self) -> "Client":
        client = Client(*await asyncio.open_unix_connection(str(self.path)))
        self.clients.append(client)
        return client

    async def until(self, connections: int) -> None:
        """Wait until `connections` are open, and no others are answered."""
        async with asyncio.timeout(10):
            while len(self.app[SESSIONS]) != connections or self.streaming > connections:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def status(self, data: bytes = GET) -> int:
        """The status of the response to a request; the response is read to its end."""
        self.send(data)
        return (await self.answer())[0]

    async def answer(self) -> tuple[int, str]:
        """Status and error; the connection may stay open."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                int(line.split()[1])
                for line in head.splitlines()
                if line.lower().startswith("content-length")
            )
            body = json.loads(await self.reader.readexactly(length))
        return int(head.split()[1]), body.get("error", "")

    async def closed(self) -> float:
        """Wait until the daemon closes the connection; returns the seconds."""
        began = time.monotonic()
        async with asyncio.timeout(10):
            try:
                while await self.reader.read(65536):
                    pass
            except ConnectionError:
                pass
        return time.monotonic() - began

    def close(self) -> None:
        self.writer.close()


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(peer, "_UCRED", FakeUcred(os.getpid(), 101))  # root has no limits
    monkeypatch.setattr(admission, "READ_SECONDS", PATIENCE)
    monkeypatch.setattr(seats, "READ_SECONDS", PATIENCE)
    monkeypatch.setattr(connection, "UNREAD_SECONDS", PATIENCE)
    site = Site(tmp_path / "sock")
    runner = make_runner(site.app, shutdown=1.0)
    await runner.setup()
    with bind(site.path) as listener:
        acceptor = Acceptor()
        acceptor.listen(listener, UnixSite(runner).take)
        try:
            yield site
        finally:
            for client in site.clients:
                client.close()
            acceptor.stop(listener)
            await runner.cleanup()
    assert not site.app[SESSIONS]


async def test_connections_beyond_the_limit_get_429(site: Site) -> None:
    served = [await site.connect() for _ in range(2)]
    await site.until(2)
    refused = [await site.connect() for _ in range(EXCESS // 4)]
    assert [await client.status() for client in served] == [200, 200]
    for client in refused:
        client.send(GET)
        assert await client.answer() == (
            429,
            "cannot answer: this pod has 2 connections open already",
        )
        await client.closed()
    await site.until(2)
    for client in served:
        client.close()
    await site.until(0)
    another = await site.connect()
    assert await another.status() == 200


async def test_far_too_many_connections_get_429_without_being_read(site: Site) -> None:
    clients = [await site.connect() for _ in range(16)]
    answers = [await client.answer() for client in clients[8:]]  # half of 16 descriptors
    assert answers == [(429, "cannot answer: this pod has too many connections")] * 8
    for client in clients:
        client.close()


async def test_a_closed_connection_makes_room(site: Site) -> None:
    for _ in range(50):
        client = await site.connect()
        assert await client.status() == 200
        client.close()
        await site.until(0)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"a" * REQUEST_BYTES,
        b"GET / HTTP/1.1\r\nX: " + b"a" * REQUEST_BYTES,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * REQUEST_BYTES,
        b"POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 1000000\r\n\r\n" + b"a" * REQUEST_BYTES,
        b"POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"1\r\na\r\n" * REQUEST_BYTES,
    ],
    ids=["line", "header", "headers", "body", "chunks"],
)
async def test_a_request_that_is_too_long_is_refused(site: Site, request_: bytes) -> None:
    client = await site.connect()
    client.send(request_)
    status, error = await client.answer()
    assert (status, error) == (413, "cannot read the request: it has more than 8192 bytes")
    await client.closed()
    await site.until(0)


@pytest.mark.parametrize("start", [b"", b"GET / HT", GET[:-2], GET], ids=str)
async def test_an_unfinished_request_is_closed_after_a_while(site: Site, start: bytes) -> None:
    client = await site.connect()
    client.send(start)
    assert await client.closed() >= PATIENCE / 2
    await site.until(0)


async def test_a_missing_body_gets_408(site: Site) -> None:
    client = await site.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\nabc")
    assert await client.answer() == (408, "cannot POST /: the body did not arrive")
    await client.closed()
    await site.until(0)


@pytest.mark.parametrize(
    "start", [b"", b"POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 4000\r\n\r\n"]
)
async def test_a_request_sent_byte_by_byte_is_closed_after_a_while(
    site: Site, start: bytes
) -> None:
    client = await site.connect()
    client.send(start)
    closed = asyncio.create_task(client.closed())
    while not closed.done():
        client.send(b"a")
        await asyncio.wait([closed], timeout=PATIENCE / 10)
    assert await closed < 5
    await site.until(0)


async def test_a_client_that_never_reads_is_disconnected(site: Site) -> None:
    client = await site.connect()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.send(b"GET /stream HTTP/1.1\r\nHost: d\r\n\r\n")
    await site.began.wait()
    await site.until(0)
    assert not site.streaming
    assert site.written < 2 * SEND_BUFFER + 3 * 65536  # the kernel's, asyncio's and aiohttp's
    client.close()


async def test_a_client_that_reads_slowly_is_served(site: Site) -> None:
    client = await site.connect()
    client.send(b"GET /stream HTTP/1.1\r\nHost: d\r\n\r\n")
    began = time.monotonic()
    while time.monotonic() < began + 3 * PATIENCE:
        assert await client.reader.read(100_000)
        await asyncio.sleep(PATIENCE / 10)
    assert site.streaming
    await site.until(0)


async def test_a_client_with_too_many_pipelined_requests_is_disconnected(site: Site) -> None:
    client = await site.connect()
    client.send(b"GET /stream HTTP/1.1\r\nHost: d\r\n\r\n" + GET * 10)
    assert await client.reader.read(1000)
    client.send(GET * 1000)
    await client.closed()
    await site.until(0)
    assert not site.streaming


async def test_a_client_that_closes_its_side_has_left(site: Site) -> None:
    client = await site.connect()
    client.send(b"GET /stream HTTP/1.1\r\nHost: d\r\n\r\n")
    assert await client.reader.read(1000)
    client.writer.write_eof()
    await client.closed()
    await site.until(0)
    assert not site.streaming
    client.close()


async def test_malformed_http_is_not_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for noise in (b"\0\xff\x16\x03", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"):
        client = await site.connect()
        client.send(noise)
        await client.closed()
        client.close()
    assert not caplog.records
