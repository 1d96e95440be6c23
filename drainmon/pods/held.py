"""What a pod's nginx holds besides the listeners that are there now: connections on ports that no
longer listen, what cannot be counted, and sockets of another network namespace.

Blocking; looked at when a pod is drained, not at every scan: each costs some reads of /proc.
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
    """`ports` have connections that quitting workers still serve; `uncounted` is what the pod
    serves on that no TCP table has (`unix /run/web.sock`, `udp 8053`), `udp` the ports among it;
    `reuseport` whether each worker has a TCP listener of its own, `abroad` whether a listener is in
    another network namespace (socket activation)."""

    ports: frozenset[int] = frozenset()
    uncounted: tuple[str, ...] = ()
    udp: frozenset[int] = frozenset()
    reuseport: bool = False
    abroad: bool = False


def is_in_sight(pod: Pod) -> bool:
    """Whether it can be seen what the pod's nginx holds."""
    return bool(_inodes(pod.masters))


def look_at(pod: Pod) -> Held:
    """What the pod's processes hold now; of those that have ended nothing."""
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
            return replace(held, abroad=bool(_foreign(pod.masters, nginx.pid)))
    return held


def count_abroad(pod: Pod) -> int:
    """The connections that the pod's workers hold in another network namespace: the kernel does
    not say whose those are, but what nginx itself opens is in its own."""
    workers = all_workers(pod)
    for nginx in workers:
        with contextlib.suppress(OSError):
            return len(_foreign(workers, nginx.pid) - _inodes(pod.masters))
    return 0


def _served_ports(pod: Pod, pid: int, quitting: list[NginxProcess]) -> frozenset[int]:
    """The local ports of connections that quitting workers hold, or, where nothing of nginx
    listens, any of its processes."""
    if not quitting and _inodes(pod.masters) & listeners_of(pid).keys():
        return frozenset()
    held = _inodes(quitting or pod.processes)
    connections, ephemeral = connections_of(pid)
    ports = Counter(port for inode, port in connections.items() if inode in held)
    return accepted_on(ports, ephemeral)


def accepted_on(ports: Counter[int], ephemeral: range) -> frozenset[int]:
    """Which of the connections' local ports are those of listeners: a connection that nginx opened
    itself has a port of its own, out of those that the kernel gives."""
    shared = {port for port, number in ports.items() if number > 1 or port not in ephemeral}
    return frozenset(shared or ports)


def _foreign(processes: Iterable[NginxProcess], pid: int) -> set[int]:
    """Sockets that the processes hold and their own netns does not have, by inode."""
    processes = list(processes)
    foreign = _inodes(processes) - listeners_of(pid).keys()
    foreign = net_sockets.not_in(foreign, pid)
    # One that was closed meanwhile is in no table either.
    return foreign & _inodes(processes) if foreign else foreign


def _inodes(processes: Iterable[NginxProcess]) -> set[int]:
    """The sockets that the processes hold, by inode."""
    held: set[int] = set()
    for nginx in processes:
        with contextlib.suppress(OSError):
            held |= process.socket_inodes(nginx.pid)
    return held
