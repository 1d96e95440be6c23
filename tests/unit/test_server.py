"""The HTTP interface on a real unix socket, with a fake node."""

import asyncio
import contextlib
import dataclasses
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from drainmon.cli import main
from drainmon.drain.policy import Policy
from drainmon.drain.report import DrainRecord
from drainmon.metrics.exposition import Exposition
from drainmon.server import peer
from drainmon.server.acceptor import Acceptor
from drainmon.server.app import make_app
from drainmon.server.limits import Limits
from drainmon.server.unix_site import UnixSite
from drainmon.server.unix_socket import bind
from tests.unit.made_up import OWN, WEB, FakeDrains, FakeNode, FakeUcred


class Daemon:
    """The served application; `get` and `post` return status and JSON, or JSON lines."""

    def __init__(self, path: Path) -> None:
        self.node = FakeNode()
        self.drains = FakeDrains()
        self.path = path

    async def ask(self, method: str, path: str, **how: Any) -> tuple[int, Any]:
        connector = aiohttp.UnixConnector(str(self.path))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, f"http://drainmon{path}", **how) as response,
        ):
            text = await response.text()
            if response.content_type == "application/x-ndjson":
                return response.status, [json.loads(line) for line in text.splitlines()]
            return response.status, json.loads(text)

    async def get(self, path: str) -> tuple[int, Any]:
        return await self.ask("GET", path)


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Daemon]:
    daemon = Daemon(folder / "drainmon.sock")
    metrics = Exposition(daemon.node, daemon.drains)
    runner = web.AppRunner(
        make_app(daemon.node, daemon.drains, metrics, Limits(1000)), access_log=None
    )
    await runner.setup()
    with bind(daemon.path) as listener:
        acceptor = Acceptor()
        acceptor.listen(listener, UnixSite(runner).take)
        yield daemon
        acceptor.stop(listener)
        await runner.cleanup()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with serving(tmp_path) as daemon:
        yield daemon


async def test_only_root_of_the_host_may_list_pods(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        assert await daemon.get("/v1/pods") == (200, {"pods": [await own(daemon)]})
    monkeypatch.setattr(peer, "_UCRED", FakeUcred(os.getpid(), 101))
    status, answer = await daemon.get("/v1/pods")
    assert status == 403
    assert answer == {"error": "cannot GET /v1/pods: only root of the host may"}


async def own(daemon: Daemon) -> Any:
    return (await daemon.get("/v1/self"))[1]


async def test_self_describes_the_callers_pod(daemon: Daemon) -> None:
    assert await own(daemon) == {
        "pod": "shop/web-7d4b9",
        "number": 1,
        "namespace": "shop",
        "name": "web-7d4b9",
        "uid": WEB.uid,
        "netns": OWN,
        "ports": [80, 443],
        "in_flight": 2,
        "by_state": {"ESTABLISHED": 2, "TIME_WAIT": 1},
        "accepted": 9,
        "probes": 1,
        "probes_accepted": 4,
        "masters": [10],
        "ways_in": [],
    }


async def test_self_connections_lists_the_callers_connections(daemon: Daemon) -> None:
    status, answer = await daemon.get("/v1/self/connections")
    assert status == 200
    assert answer["listeners"] == [{"port": 80, "unaccepted": 1, "limit": 511}]
    assert (answer["total"], answer["by_state"]) == (1, {"ESTABLISHED": 1})
    (connection,) = answer["connections"]
    assert connection["remote"] == "192.0.2.1:40000"
    assert connection["age"] == 2.0


async def test_drain_streams_lines(daemon: Daemon) -> None:
    status, lines = await daemon.ask("POST", "/v1/self/drain", data=b'{"min_wait": 1}')
    assert status == 200
    assert [line["phase"] for line in lines] == ["settling", "drained"]
    assert daemon.drains.asked == [("shop/web-7d4b9", os.getpid(), Policy(min_wait=1))]
    assert daemon.drains.closed == 1


async def test_a_drain_that_cannot_begin_is_an_error_response(daemon: Daemon) -> None:
    daemon.drains.gone = True
    reader, writer = await asyncio.open_unix_connection(str(daemon.path))
    writer.write(b"POST /v1/self/drain HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 503 " in head.splitlines()[0]
    why = "cannot POST /v1/self/drain: cannot reach the pod: pid 1 is another process now"
    assert json.loads(body) == {"error": why}


async def test_drain_over_http_1_0_ends_with_the_connection(daemon: Daemon) -> None:
    reader, writer = await asyncio.open_unix_connection(str(daemon.path))
    writer.write(b"POST /v1/self/drain HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert b" 200 " in head.splitlines()[0]
    assert b"chunked" not in head
    assert [json.loads(line)["phase"] for line in body.splitlines()] == ["settling", "drained"]


async def test_a_pod_without_nginx_has_nothing_to_drain(daemon: Daemon) -> None:
    daemon.node.known = []
    _, (line,) = await daemon.ask("POST", "/v1/self/drain", data=b"")
    assert (line["result"], line["reason"]) == ("drained", "no nginx here: nothing to drain")
    answer = await own(daemon)
    assert (answer["pod"], answer["in_flight"]) == ("shop/idle", 0)
    assert answer["reason"] == "no nginx in this pod"
    assert (await daemon.get("/v1/self/connections"))[1]["connections"] == []


async def test_drain_records_and_health_are_served(daemon: Daemon) -> None:
    if os.geteuid() == 0:
        daemon.drains.known += [DrainRecord("web", OWN, 2e9), DrainRecord("b", OWN, 3e9)]
        _, answer = await daemon.get("/v1/drains")
        assert answer["drains"] == [dataclasses.asdict(one) for one in daemon.drains.known]
        daemon.drains.known = []
        assert await daemon.get("/v1/drains") == (200, {"drains": []})
    status, health = await daemon.get("/healthz")
    assert status == 200
    assert health.pop("version")
    assert health == {
        "status": "degraded",
        "source": "fake",
        "refused": {"better": "cannot: why"},
        "processes": ["angie", "nginx"],
        "drift": 3,
        "missed": {"event": 1},
    }


@pytest.mark.root
async def test_status_exits_with_3_for_a_degraded_source(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["status", "--socket", str(daemon.path)]
    assert await asyncio.to_thread(main.main, argv) == 3
    assert "not better: cannot: why" in capsys.readouterr().out
    monkeypatch.setattr(FakeNode, "refused_sources", {})
    assert await asyncio.to_thread(main.main, argv) == 0


async def test_metrics_are_served(daemon: Daemon) -> None:
    if os.geteuid() != 0:
        assert (await daemon.get("/metrics"))[0] == 403
        return
    connector = aiohttp.UnixConnector(str(daemon.path))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://drainmon/metrics") as response,
    ):
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = (await response.text()).splitlines()
    assert 'drainmon_in_flight{namespace="shop",pod="web-7d4b9"} 2' in lines
    assert 'drainmon_source_info{source="fake"} 1.0' in lines


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "why"),
    [
        ("GET", "/nowhere", b"", 404, "cannot GET /nowhere: Not Found"),
        ("GET", "/v1/self/drain", b"", 405, "Method Not Allowed"),
        ("POST", "/v1/pods", b"", 405, "Method Not Allowed"),
        ("POST", "/v1/self/drain", b"{", 400, "cannot drain: the options are not JSON"),
        ("POST", "/v1/self/drain", b'{"timeout": "x"}', 400, "timeout is not a number"),
        ("POST", "/v1/self/drain", b" " * 5000, 413, "Request Entity Too Large"),
    ],
)
async def test_bad_requests_are_refused_with_a_reason(
    daemon: Daemon, method: str, path: str, body: bytes, status: int, why: str
) -> None:
    answered, answer = await daemon.ask(method, path, data=body)
    assert answered == status
    assert why in answer["error"]
    assert (await daemon.get("/healthz"))[0] == 200


async def test_malformed_http_does_not_end_the_daemon(daemon: Daemon) -> None:
    for noise in (b"\0\xff\x16\x03", b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100_000):
        reader, writer = await asyncio.open_unix_connection(str(daemon.path))
        writer.write(noise)
        writer.write_eof()
        await reader.read()
        writer.close()
    assert (await daemon.get("/healthz"))[0] == 200


async def test_a_namespace_that_is_gone_is_an_error(daemon: Daemon) -> None:
    daemon.node.broken = True
    status, answer = await daemon.get("/v1/self/connections")
    assert status == 503
    assert "it is gone" in answer["error"]


@pytest.mark.parametrize(
    ("pid", "why"), [(0, r"is hostPID missing"), (2**22 + 1, r"pid 4194305: No such file")]
)
async def test_a_hidden_caller_is_refused(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, pid: int, why: str
) -> None:
    monkeypatch.setattr(peer, "_UCRED", FakeUcred(pid, 0))
    status, answer = await daemon.get("/v1/self")
    assert status == 403
    assert answer["error"].startswith("cannot identify the caller")
    assert why in answer["error"]
