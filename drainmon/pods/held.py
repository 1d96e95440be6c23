"""Finds what a pod's nginx holds besides its present listeners: connections on ports without a
listener, sockets that cannot be counted, and sockets of another network namespace.

Blocking: each call costs some reads of /proc. Called when a pod drains, not at every scan.
"""

import contextlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from drainmon.pods.listeners import connections_of, listeners_of
from drainmon.pods.nginx import all_workers, is_quitting, masters_of
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.procfs import net_sockets, net_tcp, process


@dataclass(frozen=True)
class Held:
    """`ports` are those of connections that quitting workers still serve. `uncounted` are the
    sockets that the pod serves on and no TCP table lists (`unix /run/web.sock`, `udp 8053`); `udp`
    are the UDP ports among them. `reuseport`: each worker has a TCP listener of its own.
    `listens_elsewhere`: a listener is in another network namespace (socket activation)."""

    ports: frozenset[int] = frozenset()
    uncounted: tuple[str, ...] = ()
    udp: frozenset[int] = frozenset()
    reuseport: bool = False
    listens_elsewhere: bool = False


def is_in_sight(pod: Pod) -> bool:
    """Whether the sockets of the pod's nginx are visible."""
    return bool(_inodes(pod.masters))


def look_at(pod: Pod) -> Held:
    """What the pod's running processes hold."""
    masters = _inodes({*pod.masters, *masters_of(pod)})
    if not masters:
        return Held()
    quitting = [nginx for nginx in pod.processes if is_quitting(nginx)]
    held = Held()
    for nginx in pod.masters:
        with contextlib.suppress(OSError):
            left = _inodes(quitting)
            udp = net_sockets.udp_listeners(nginx.pid, masters | left)
            together = net_tcp.listen_together(nginx.pid, masters)
            held = replace(held, udp=frozenset(udp), reuseport=together)
            uncounted = net_sockets.uncountable(nginx.pid, masters, left)
            held = replace(held, uncounted=tuple(uncounted))
            held = replace(held, ports=_served_ports(pod, nginx.pid, quitting))
            return replace(held, listens_elsewhere=bool(_foreign(pod.masters, nginx.pid)))
    return held


def count_elsewhere(pod: Pod) -> int:
    """The number of connections that the pod's workers hold in another network namespace. All are
    accepted ones: the connections that nginx opens are in its own namespace."""
    workers = all_workers(pod)
    for nginx in workers:
        with contextlib.suppress(OSError):
            return len(_foreign(workers, nginx.pid) - _inodes(pod.masters))
    return 0


def _served_ports(pod: Pod, pid: int, quitting: list[NginxProcess]) -> frozenset[int]:
    """The local ports of connections that quitting workers hold; where nginx has no listener, that
    any of its processes holds."""
    if not quitting and _inodes(pod.masters) & listeners_of(pid).keys():
        return frozenset()
    held = _inodes(quitting or pod.processes)
    connections, ephemeral = connections_of(pid)
    ports = Counter(port for inode, port in connections.items() if inode in held)
    return accepted_on(ports, ephemeral)


def accepted_on(ports: Counter[int], ephemeral: range) -> frozenset[int]:
    """The local ports of accepted connections: a connection that nginx opened has an ephemeral port
    of its own."""
    shared = {port for port, number in ports.items() if number > 1 or port not in ephemeral}
    return frozenset(shared or ports)


def _foreign(processes: Iterable[NginxProcess], pid: int) -> set[int]:
    """The inodes of sockets that the processes hold and that are not in their own netns."""
    processes = list(processes)
    foreign = _inodes(processes) - listeners_of(pid).keys()
    foreign = net_sockets.not_in(foreign, pid)
    # A socket that was closed meanwhile is in no table, either.
    return foreign & _inodes(processes) if foreign else foreign


def _inodes(processes: Iterable[NginxProcess]) -> set[int]:
    """The inodes of the sockets that the processes hold."""
    held: set[int] = set()
    for nginx in processes:
        with contextlib.suppress(OSError):
            held |= process.socket_inodes(nginx.pid)
    return held
