"""The daemon's listen sockets in the network namespaces of pods: opened when nginx listens, closed
when its last process ends, since a socket keeps its namespace alive."""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from drainmon.daemon.door import LATEST, SOONEST, Attempt, Door, Way, folder_of
from drainmon.daemon.node import Node
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.server.acceptor import Acceptor
from drainmon.server.in_pod_sockets import Port, Taken

log = logging.getLogger(__name__)


NAMESPACES = 64
"""Network namespaces of one pod that get the sockets; each costs a few descriptors."""


class Doors:
    """Made inside a running event loop. `folder` is that of the socket file. The sockets of the
    process `predecessor` are taken over. Once `is_current` returns False, this daemon has been
    replaced and leaves new pods to its successor."""

    def __init__(
        self,
        node: Node,
        acceptor: Acceptor,
        ways: Sequence[Way],
        folder: Path,
        predecessor: int | None,
        is_current: Callable[[], bool],
    ) -> None:
        self._node = node
        self._acceptor = acceptor
        self._ways = ways
        self._folder = folder
        self._is_current = is_current
        self._loop = asyncio.get_running_loop()
        self._doors: dict[int, Door] = {}
        self._folders: dict[int, tuple[str, ...]] = {}
        self._logged: set[str] = set()
        self._changed = asyncio.Event()
        self._predecessor: int | None = None
        self._its_end: int | None = None
        if predecessor:
            self._follow(predecessor)

    @property
    def places(self) -> list[str]:
        """The addresses of the sockets in each namespace, in words."""
        return [str(way.address) for way in self._ways]

    def scanned(self) -> None:
        """Reconcile soon: a scan has ended."""
        self._changed.set()

    async def run(self) -> None:
        """Reconcile after scans, until cancelled."""
        while True:
            self._changed.clear()
            await self.reconcile()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._due()):
                    await self._changed.wait()

    def stop_listening(self) -> None:
        """Close all sockets for good."""
        self._ways = ()
        for door in self._doors.values():
            self._shut(door)
        self._forget_predecessor()

    async def reconcile(self) -> None:
        """Open a door in each network namespace with nginx, and close all others."""
        try:
            await self._reconcile()
        except Exception:  # an error in one pod must not close the doors of others
            log.exception("ways in cannot be brought up to date")

    async def _reconcile(self) -> None:
        pods = [pod for pod in self._node.pods() if pod.processes]
        processes: dict[int, list[NginxProcess]] = {}
        for pod in shares_of(pods) if self._ways else ():
            processes.setdefault(pod.netns, []).extend((*pod.masters, *pod.processes))
        for door in [door for netns, door in self._doors.items() if netns not in processes]:
            self._close(door)
        for netns, here in processes.items():
            if netns in self._doors or self._is_current():
                self._doors.setdefault(netns, Door(netns)).processes = tuple(here)
        await self._open()
        await self._look_at_folders(pods)
        for pod in pods:
            ways_in = self._folders[pod.number] + self._names(pod)
            if ways_in != pod.ways_in:
                self._node.registry.reached_by(pod.key, ways_in)

    async def _open(self) -> None:
        """Open all missing sockets in one thread."""
        now = time.monotonic()
        missing = {
            door: wanted
            for door in self._doors.values()
            if now >= door.retry_at and (wanted := self._missing(door))
        }
        for door in missing:
            # A socket that cannot be taken from the predecessor is free once it is closed.
            door.put_off(SOONEST if self._predecessor else LATEST)
        if missing:
            for door, (opened, failed) in (await asyncio.to_thread(self._listen, missing)).items():
                self._opened(door, opened, failed)
        for door in list(self._doors.values()):
            if door.keeper is None:
                self._keep(door)

    def _missing(self, door: Door) -> list[Way]:
        shared = self._node.registry.shared(door.netns)
        ways = (w for w in self._ways if w.in_host or not shared)
        return [way for way in ways if way not in door.open and way not in door.left]

    def _listen(self, missing: dict[Door, list[Way]]) -> dict[Door, Attempt]:
        return {d: d.try_to_listen(ways, self._predecessor) for d, ways in missing.items()}

    def _opened(
        self, door: Door, opened: dict[Way, socket.socket], failed: dict[Way, OSError]
    ) -> None:
        if self._doors.get(door.netns) is not door or not self._ways:  # closed meanwhile
            for listener in opened.values():
                listener.close()
            return
        for way, listener in opened.items():
            self._serve(door, way, listener)
        for way, error in failed.items():
            if isinstance(error, Taken) and isinstance(way.address, Port) and not self._predecessor:
                # The process that has the port must get it again after a restart.
                door.left.add(way)
            why = error.strerror or str(error)
            if self._is_news(door, error, why):
                log.warning("way in missing", extra={"netns": door.netns, "error": why})

    def _is_news(self, door: Door, error: OSError, why: str) -> bool:
        """Whether to log an error: once for each pod that uses the address, else once in all."""
        logged = door.logged if isinstance(error, Taken) else self._logged
        if why in logged:
            return False
        logged.add(why)
        return True

    def _serve(self, door: Door, way: Way, listener: socket.socket) -> None:
        door.open[way] = listener
        self._acceptor.listen(listener, partial(way.take, door.netns))
        if isinstance(way.address, Port):
            self._node.registry.set_own_port(door.netns, way.address.number)

    def _keep(self, door: Door) -> None:
        """Watch a process of nginx until it ends; close the door when all have ended."""
        while nginx := door.next_keeper():
            try:
                door.keeper = os.pidfd_open(nginx.pid)
            except ProcessLookupError:
                continue
            except OSError:  # no descriptors, or no pidfds in this kernel: scans find the end
                return
            self._loop.add_reader(door.keeper, self._keeper_ended, door)
            return
        self._close(door)
        self._node.listening()

    def _keeper_ended(self, door: Door) -> None:
        self._dismiss_keeper(door)
        self._keep(door)

    def _dismiss_keeper(self, door: Door) -> None:
        if door.keeper is not None:
            self._loop.remove_reader(door.keeper)
            os.close(door.keeper)
            door.keeper = None

    def _close(self, door: Door) -> None:
        del self._doors[door.netns]
        self._dismiss_keeper(door)
        self._shut(door)

    def _shut(self, door: Door) -> None:
        for listener in door.open.values():
            self._acceptor.stop(listener)
            listener.close()
        door.open.clear()
        self._node.registry.set_own_port(door.netns, None)

    def _names(self, pod: Pod) -> tuple[str, ...]:
        door = self._doors.get(pod.netns)
        return tuple(str(way.address) for way in self._ways if door and way in door.open)

    async def _look_at_folders(self, pods: list[Pod]) -> None:
        """Find the folders of new pods, all in one thread."""
        new = [pod for pod in pods if pod.number not in self._folders]
        found = await asyncio.to_thread(self._folders_of, new) if new else {}
        known = self._folders | found
        self._folders = {pod.number: known[pod.number] for pod in pods}

    def _folders_of(self, pods: list[Pod]) -> dict[int, tuple[str, ...]]:
        return {pod.number: folder_of(pod, self._folder) for pod in pods}

    def _due(self) -> float | None:
        """When failed sockets are tried again, in the event loop's time."""
        late = [door.retry_at for door in self._doors.values() if self._missing(door)]
        return min(late) - time.monotonic() + self._loop.time() if late else None

    def _follow(self, predecessor: int) -> None:
        """Watch the predecessor: sockets that cannot be taken over are free when it ends."""
        self._predecessor = predecessor
        with contextlib.suppress(OSError):
            self._its_end = os.pidfd_open(predecessor)
            self._loop.add_reader(self._its_end, self._predecessor_ended)

    def _predecessor_ended(self) -> None:
        self._forget_predecessor()
        for door in self._doors.values():
            door.retry_at = 0.0
        self._changed.set()

    def _forget_predecessor(self) -> None:
        if self._its_end is not None:
            self._loop.remove_reader(self._its_end)
            os.close(self._its_end)
        self._predecessor = self._its_end = None


def shares_of(pods: list[Pod]) -> list[Pod]:
    """The pods whose namespaces get sockets: at most NAMESPACES of one pod, found first."""
    shares: dict[str, set[int]] = {}
    for pod in sorted(pods, key=lambda pod: pod.number):
        share = shares.setdefault(pod.label, set())
        if len(share) < NAMESPACES:
            share.add(pod.netns)
    return [pod for pod in pods if pod.netns in shares[pod.label]]
