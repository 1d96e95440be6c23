"""The ways in for pods: the socket file, and the sockets in their network namespaces."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from drainmon.daemon.door import Way
from drainmon.daemon.doors import Doors
from drainmon.daemon.serving import Served, in_pod_application, unix_application
from drainmon.server.acceptor import Acceptor
from drainmon.server.in_pod_sockets import AbstractName, Port
from drainmon.server.port_site import PortSite
from drainmon.server.unix_site import UnixSite


@dataclass(frozen=True)
class Places:
    """Where the daemon listens for pods: at `path`, for which `listener` is bound, and at `name`
    and `port` in the pods' network namespaces. `predecessor` is the pid of the daemon to
    replace."""

    path: Path
    listener: socket.socket
    name: AbstractName | None
    port: Port | None
    predecessor: int | None


@contextlib.asynccontextmanager
async def pods_served(
    served: Served, places: Places, at_once: asyncio.Event
) -> AsyncIterator[Doors]:
    """Serve pods until the block ends. Then take no new client, and return when the last drain by
    the port has ended, as its client would not ask the next daemon, or when `at_once` is set.
    `Doors.run` must run meanwhile."""
    async with contextlib.AsyncExitStack() as stack:
        in_pod = await stack.enter_async_context(in_pod_application(served))
        stack.push_async_callback(_first_of, in_pod.finish(), at_once.wait())
        site = await stack.enter_async_context(unix_application(served))
        acceptor = Acceptor()
        doors = Doors(
            served.node,
            acceptor,
            _ways(places, site, in_pod.site),
            places.path.parent,
            places.predecessor,
            _is_ours(places),
        )
        stack.callback(doors.stop_listening)
        served.node.after_scan = doors.scanned
        await doors.reconcile()
        acceptor.listen(places.listener, site.take)
        stack.callback(acceptor.stop, places.listener)
        yield doors


def _is_ours(places: Places) -> Callable[[], bool]:
    """Returns whether the path still leads to the listener: no daemon has replaced this one."""
    inode = Path(places.listener.getsockname()).stat().st_ino

    def is_ours() -> bool:
        own = Path(places.listener.getsockname())
        return inode in {p.stat().st_ino for p in (places.path, own) if p.exists()}

    return is_ours


def _ways(places: Places, unix: UnixSite, port: PortSite) -> list[Way]:
    ways = []
    if places.name:
        ways.append(Way(places.name, lambda _, *new: unix.take(*new), in_host=True))
    if places.port:
        ways.append(Way(places.port, port.take, in_host=False))
    return ways


async def _first_of(*works: Coroutine[None, None, object]) -> None:
    tasks = [asyncio.ensure_future(work) for work in works]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
