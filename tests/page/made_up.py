"""The web application with a fake node, served in a separate thread."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from drainmon.drain.report import DrainRecord
from drainmon.model.counts import Counts
from drainmon.model.snapshot import Listener, Snapshot
from drainmon.pods.pod import Pod
from drainmon.server import tcp_site
from drainmon.server.gate import Gate
from drainmon.server.listen import Address, bind, bound
from drainmon.server.web_app import make_web_app
from tests.unit.sockets import ADDRESS


class Node:
    """Pods with given counts, by number."""

    source_name = "core"
    process_names: tuple[str, ...] = ("nginx",)
    drift = 0

    def __init__(self) -> None:
        self.refused_sources: dict[str, str] = {}
        self.counted: dict[int, tuple[Pod, Counts]] = {}
        self.snapshots: dict[int, Snapshot] = {}
        self.lost = {"event": 0}

    def missed(self) -> dict[str, int]:
        return self.lost

    def pods(self) -> list[Pod]:
        return [pod for pod, _ in self.counted.values()]

    async def counts(self, pod: Pod) -> Counts:
        return self.counted[pod.number][1]

    async def all_counts(self) -> list[tuple[Pod, Counts]]:
        return [*self.counted.values()]

    async def compare(self, pod: Pod) -> Snapshot | None:
        listening = (Listener(ADDRESS, 80, 3, 511),)
        return self.snapshots.get(pod.number, Snapshot(1.0, 1.0, (), listening))


class Drains:
    def __init__(self) -> None:
        self.known: list[DrainRecord] = []

    def records(self) -> list[DrainRecord]:
        return self.known


class Metrics:
    async def text(self) -> bytes:
        return b""


@contextmanager
def served(node: Node, drains: Drains, port: int = 0) -> Iterator[str]:
    """Serve the application for the length of the block; yields its URL."""
    loop = asyncio.new_event_loop()
    listener = bind(Address("127.0.0.1", port))
    stop = asyncio.Event()
    thread = threading.Thread(
        target=loop.run_until_complete, args=[_serve(node, drains, listener, stop)]
    )
    thread.start()
    try:
        yield f"http://{bound(listener)}/"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _serve(node: Node, drains: Drains, listener: Any, stop: asyncio.Event) -> None:
    connections = tcp_site.Connections()
    app = make_web_app(node, drains, Metrics(), connections, Gate())
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    server = await tcp_site.start(runner, listener, connections)
    await stop.wait()
    server.close()
    await runner.cleanup()
