"""Looking at the node's processes: nginx by name, what it listens on, whose it is."""

import contextlib
from collections.abc import Iterable

import psutil

from drainmon.pods.cgroup import Owner, parse_owner
from drainmon.pods.listeners import listeners_of
from drainmon.pods.pod import NginxProcess
from drainmon.procfs import process


def find_processes(names: frozenset[str]) -> dict[int, list[NginxProcess]]:
    """Every process with one of the names, by netns inode; those that end meanwhile left out."""
    cut = {name[: process.COMM] for name in names}
    found: dict[int, list[NginxProcess]] = {}
    for pid in psutil.pids():
        # Of most processes nothing but the name is read: there may be thousands.
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
    # Masters first: workers have their connections besides.
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
    """Whose the process is. Raises OSError when it is gone."""
    return parse_owner(process.cgroup(pid))


def ports_of_owner(netns: int, owner: Owner) -> frozenset[int]:
    """The ports that processes of this owner, nginx or not, listen on in a network namespace.
    Blocks for milliseconds: every process of the node is looked at."""
    ports: frozenset[int] = frozenset()
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if process.netns_inode(pid) == netns and owner_of(pid).root == owner.root:
                held = process.socket_inodes(pid)
                if held:
                    listeners = listeners_of(pid)
                    ports |= {listeners[inode] for inode in held & listeners.keys()}
    return ports
