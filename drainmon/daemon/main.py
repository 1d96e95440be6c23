"""The daemon: all its parts, under one task group."""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path

from drainmon import AUTO
from drainmon.daemon import privileges
from drainmon.daemon.drains import Drains
from drainmon.daemon.node import Node
from drainmon.daemon.rounds import Rounds
from drainmon.daemon.serving import Served, web_application
from drainmon.daemon.ways_in import Places, pods_served
from drainmon.metrics.exposition import Exposition
from drainmon.model.ignored import NOTHING, Ignored
from drainmon.pods.discovery import owner_of
from drainmon.pods.pod_logs import PodLogs
from drainmon.pods.registry import Registry
from drainmon.server import unix_socket
from drainmon.server.access import find_host
from drainmon.server.in_pod_sockets import AbstractName, Port
from drainmon.server.limits import Limits
from drainmon.server.listen import Address, bind, bound
from drainmon.sources.base import PROBE_PROCESSES
from drainmon.sources.choice import candidates, sources

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """The daemon's options, as in docs/options.md; `reconcile_interval` in seconds."""

    socket: Path
    pod_logs: Path
    processes: tuple[str, ...] = ("nginx",)
    reconcile_interval: float = 1.0
    source: str = AUTO
    listen: Address | None = None
    take_over: bool = False
    probe_processes: tuple[str, ...] = PROBE_PROCESSES
    ignored: Ignored = NOTHING
    in_pod_socket: AbstractName | None = None
    in_pod_port: Port | None = None


async def serve(options: Options) -> None:
    """Run until SIGTERM or SIGINT, and then until the last drain by the port in pods has ended, as
    its client would not ask the next daemon, or until a second signal. Raises OSError when the
    daemon cannot start."""
    privileges.require_sight(options.processes)
    stop, at_once = _signals()
    files = _raise_file_limit()
    predecessor = unix_socket.listens_at(options.socket) if options.take_over else None
    with contextlib.ExitStack() as held:
        listener = held.enter_context(unix_socket.bind(options.socket, options.take_over))
        name = held.enter_context(contextlib.ExitStack())
        own = Path(listener.getsockname())
        for place in (own, options.socket):
            name.callback(unix_socket.remove, place, own.stat().st_ino)
        web_listener = held.enter_context(bind(options.listen)) if options.listen else None
        async with asyncio.TaskGroup() as group:
            tasks = _Tasks(group)
            logs = PodLogs(options.pod_logs, owner_of(os.getpid()))
            network = find_host().network
            registry = Registry(options.processes, network, logs.identify, options.ignored.ports)
            make = sources(options.processes, options.probe_processes, network)
            node = Node(registry, candidates(options.source), tasks.spawn, make)
            try:
                await _start(node)
                tasks.spawn(node.retry_sources())
                tasks.spawn(Rounds(node, options.reconcile_interval).run())
                drains = Drains(node, tasks.spawn, options.ignored)
                metrics = Exposition(node, drains)
                served = Served(node, drains, metrics, Limits(files))
                async with contextlib.AsyncExitStack() as applications:
                    enter = applications.enter_async_context
                    places = Places(
                        options.socket,
                        listener,
                        options.in_pod_socket,
                        options.in_pod_port,
                        predecessor,
                    )
                    doors = await enter(pods_served(served, places, at_once))
                    tasks.spawn(doors.run())
                    if web_listener and options.listen:
                        await enter(web_application(served, web_listener, options.listen.host))
                    gc.freeze()  # present objects stay: the collector need not visit them again
                    unix_socket.publish(listener, options.socket)
                    # The path is free for the next daemon during clean-up.
                    applications.callback(name.close)
                    log.info(
                        "serving",
                        extra={
                            "socket": str(options.socket),
                            "listen": str(bound(web_listener)) if web_listener else None,
                            "in_pods": doors.places,
                            "source": node.source_name,
                            "pods": len(node.pods()),
                        },
                    )
                    await stop.wait()
                    log.info("stopping")
            finally:
                await tasks.end()
                node.close()


async def _start(node: Node) -> None:
    try:
        await node.start()
    except OSError as error:
        why = error.strerror or str(error)
        lacking = privileges.missing()
        raise OSError(f"{why}; missing {lacking}" if lacking else why) from error


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Events for the first stop signal and for the second."""
    first, second = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        (second if first.is_set() else first).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    return first, second


class _Tasks:
    """The daemon's tasks. A task that fails is logged and does not end the others."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._group.create_task(_guarded(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def end(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


async def _guarded(work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("task failed")


def _raise_file_limit() -> int:
    """Raise the limit of open files to what the kernel allows, and return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
