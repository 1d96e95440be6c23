"""Finds nginx among the node's processes, its ports and its owner."""

import contextlib
from collections.abc import Iterable

import psutil

from drainmon.pods.cgroup import Owner, parse_owner
from drainmon.pods.listeners import listeners_of
from drainmon.pods.pod import NginxProcess
from drainmon.procfs import process


def find_processes(names: frozenset[str]) -> dict[int, list[NginxProcess]]:
    """Every process with one of the names, by netns inode; without processes that end meanwhile."""
    cut = {name[: process.COMM] for name in names}
    found: dict[int, list[NginxProcess]] = {}
    for pid in psutil.pids():
        # Most processes cost one read, of the name: there may be thousands.
        with contextlib.suppress(OSError):
            if process.name(pid) in cut:
                nginx = NginxProcess(pid, process.parent(pid), process.start_time(pid))
                found.setdefault(process.netns_inode(pid), []).append(nginx)
    return found


def listening_ports(processes: Iterable[NginxProcess]) -> frozenset[int]:
    """The local ports of the listeners that the processes, all of one netns, hold open."""
    held: set[int] = set()
    listeners: dict[int, int] = {}
    processes = list(processes)
    pids = {nginx.pid for nginx in processes}
    # Masters first: workers also hold their connections.
    for nginx in sorted(processes, key=lambda nginx: nginx.parent in pids):
        try:
            held |= process.socket_inodes(nginx.pid)
            listeners = listeners or listeners_of(nginx.pid)
        except OSError:
            continue
        if listeners.keys() <= held:
            break
    return frozenset(port for inode, port in listeners.items() if inode in held)


def owner_of(pid: int) -> Owner:
    """The owner of the process. Raises OSError when it has ended."""
    return parse_owner(process.cgroup(pid))


def ports_of_owner(netns: int, owner: Owner) -> frozenset[int]:
    """The ports in a network namespace on which processes of this owner listen, nginx or not.
    Blocks for milliseconds: reads every process of the node."""
    ports: frozenset[int] = frozenset()
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if process.netns_inode(pid) == netns and owner_of(pid).root == owner.root:
                held = process.socket_inodes(pid)
                if held:
                    listeners = listeners_of(pid)
                    ports |= {listeners[inode] for inode in held & listeners.keys()}
    return ports
