"""Finding the node's nginx: processes by name, grouped by network namespace."""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

import psutil

from drainmon.pods.pod import NginxProcess, Pod
from drainmon.procfs import net_tcp, process


def find_processes(names: frozenset[str]) -> dict[int, list[NginxProcess]]:
    """Every process with one of the names, by netns inode; those that end meanwhile left out."""
    found: dict[int, list[NginxProcess]] = {}
    for candidate in psutil.process_iter(["name", "ppid"]):
        if candidate.info["name"] not in names:
            continue
        try:
            netns = process.netns_inode(candidate.pid)
            started = process.start_time(candidate.pid)
        except OSError:
            continue
        found.setdefault(netns, []).append(
            NginxProcess(candidate.pid, candidate.info["ppid"], started)
        )
    return found


def listening_ports(processes: Iterable[NginxProcess]) -> frozenset[int]:
    """The local ports of the listeners that the processes, all of one netns, hold open."""
    held: set[int] = set()
    listeners: dict[int, int] = {}
    for nginx in processes:
        try:
            held |= process.socket_inodes(nginx.pid)
            listeners = listeners or net_tcp.listeners(nginx.pid)
        except OSError:
            continue
    return frozenset(port for inode, port in listeners.items() if inode in held)


def label(netns: int, processes: Iterable[NginxProcess]) -> str:
    """What a pod is called: its container's ID, else its namespace."""
    for nginx in processes:
        try:
            container = process.container_id(nginx.pid)
        except OSError:
            continue
        if container:
            return container
    return f"netns-{netns}"


def _runs(nginx: NginxProcess) -> bool:
    try:
        return process.start_time(nginx.pid) == nginx.started
    except OSError:
        return False


class Registry:
    """The node's pods, by netns inode; `scan` brings it up to date.

    A port stays with its pod after the listener has closed, as long as one of the pod's processes
    lives on or the pod is held. A namespace whose nginx are all new is a new pod.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._pods: dict[int, Pod] = {}
        self._held: dict[int, int] = {}
        self._numbers = itertools.count(1)

    def scan(self) -> None:
        """Look at every process of the node. Blocks for milliseconds."""
        found = find_processes(self._names)
        pods = {}
        for netns, processes in found.items():
            known = self._pods.get(netns)
            if known and netns not in self._held and set(known.processes).isdisjoint(processes):
                known = None
            pods[netns] = Pod(
                known.number if known else next(self._numbers),
                netns,
                known.label if known else label(netns, processes),
                tuple(processes),
                listening_ports(processes) | (known.ports if known else frozenset()),
            )
        for netns in self._held.keys() - pods.keys():
            if known := self._pods.get(netns):
                pods[netns] = replace(known, processes=())
        self._pods = pods

    def outdated(self) -> bool:
        """Whether a pod has lost all processes since the last scan. Cheap: the node's other
        processes are not looked at."""
        return any(
            not any(map(_runs, pod.processes)) and netns not in self._held
            for netns, pod in self._pods.items()
        )

    def adopt(self, netns: int, ports: frozenset[int]) -> Pod:
        """A pod none of whose ports was found, with the ports given. It stays while it has
        processes or is held."""
        known = self._pods.get(netns) or Pod(
            next(self._numbers), netns, label(netns, ()), (), frozenset()
        )
        self._pods[netns] = replace(known, ports=ports)
        return self._pods[netns]

    def hold(self, netns: int) -> None:
        """Keep the pod although its last process ends: it is being drained."""
        self._held[netns] = self._held.get(netns, 0) + 1

    def release(self, netns: int) -> None:
        """Undo one `hold`."""
        self._held[netns] -= 1
        if not self._held[netns]:
            del self._held[netns]

    def pods(self) -> list[Pod]:
        """Every pod of the last scan, by label."""
        return sorted(self._pods.values(), key=lambda pod: pod.label)

    def get(self, netns: int) -> Pod | None:
        """The pod of a namespace, None when the last scan found no nginx in it."""
        return self._pods.get(netns)


def live_namespaces() -> dict[int, int]:
    """Every network namespace that has a process: its inode, and the pid of one of them."""
    pids: dict[int, int] = {}
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            pids[process.netns_inode(pid)] = pid
    return pids


def open_namespaces() -> Iterator[int]:
    """A file descriptor of every network namespace that has a process, each closed again before
    the next is opened."""
    seen: set[int] = set()
    for pid in psutil.pids():
        try:
            fd = process.open_netns(pid)
        except OSError:
            continue
        try:
            inode = os.fstat(fd).st_ino
            if inode not in seen:
                seen.add(inode)
                yield fd
        finally:
            os.close(fd)
