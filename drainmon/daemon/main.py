"""The daemon: everything put together under one task group."""

import asyncio
import logging
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from drainmon.daemon.drains import Drains
from drainmon.daemon.node import Node
from drainmon.daemon.rounds import Rounds
from drainmon.pods.discovery import Registry
from drainmon.server import unix_socket
from drainmon.server.app import make_app
from drainmon.sources.core import CoreSource

log = logging.getLogger(__name__)

SHUTDOWN = 0.5
"""Seconds that requests get when the daemon stops; waiting clients count by themselves then."""


@dataclass(frozen=True)
class Options:
    """What the daemon is told: the path of its socket, nginx's process names, and how many seconds
    pass between two pods' turns to be compared with a snapshot."""

    socket: Path
    processes: tuple[str, ...] = ("nginx",)
    reconcile_interval: float = 1.0


async def serve(options: Options) -> None:
    """Run until SIGTERM or SIGINT. Raises OSError when the daemon cannot start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listener = unix_socket.bind(options.socket)
    try:
        async with asyncio.TaskGroup() as group:
            running: set[asyncio.Task[None]] = set()

            def spawn(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
                task = group.create_task(work)
                running.add(task)
                task.add_done_callback(running.discard)
                return task

            node = Node(Registry(options.processes), CoreSource, spawn)
            try:
                await node.start()
                spawn(Rounds(node, options.reconcile_interval).run())
                runner = web.AppRunner(
                    make_app(node, Drains(node, spawn)),
                    access_log=None,
                    handler_cancellation=True,
                    shutdown_timeout=SHUTDOWN,
                )
                await runner.setup()
                try:
                    await web.SockSite(runner, listener).start()
                    log.info(
                        "serving",
                        extra={
                            "socket": str(options.socket),
                            "source": node.source_name,
                            "pods": len(node.pods()),
                        },
                    )
                    await stop.wait()
                    log.info("stopping")
                finally:
                    await runner.cleanup()
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
                node.close()
    finally:
        listener.close()
        options.socket.unlink(missing_ok=True)
