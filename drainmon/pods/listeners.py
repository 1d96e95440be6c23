"""Lists listeners and connections in the network namespace of a process."""

import os

from drainmon.kernel import netns, sock_diag
from drainmon.procfs import net_tcp, process
from drainmon.procfs.net_sockets import EPHEMERAL, ephemeral_ports


def listeners_of(pid: int) -> dict[int, int]:
    """Local port by socket inode of every listener in the process's netns, IPv4 and IPv6.

    Listed inside the namespace, which requires CAP_SYS_ADMIN and takes a hundredth of the time,
    else from /proc. Raises OSError when the process has ended."""
    fd = process.open_netns(pid)
    try:
        return netns.call_in(fd, sock_diag.listeners)
    except OSError:
        return net_tcp.listeners(pid)
    finally:
        os.close(fd)


def connections_of(pid: int) -> tuple[dict[int, int], range]:
    """Local port by socket inode of every connection in the process's netns that a process holds,
    and the ephemeral ports; the kernel's default ones where the netns may not be entered. Raises
    OSError when the process has ended."""
    fd = process.open_netns(pid)
    try:
        return netns.call_in(fd, lambda: (sock_diag.connections(), ephemeral_ports()))
    except OSError:
        return {inode: port for inode, port in net_tcp.connections(pid) if inode}, EPHEMERAL
    finally:
        os.close(fd)


def server_ports(pid: int) -> frozenset[int]:
    """The local ports of servers in the process's netns: those of listeners, and those in use that
    are not ephemeral. Raises OSError when the process has ended."""
    _, ephemeral = connections_of(pid)
    used = (port for port in ports_in_use(pid) if port not in ephemeral)
    return frozenset(listeners_of(pid).values()).union(used)


def ports_in_use(pid: int) -> frozenset[int]:
    """The local ports of all sockets in the process's netns except those in TIME_WAIT. Raises
    OSError when the process has ended."""
    fd = process.open_netns(pid)
    try:
        return netns.call_in(fd, sock_diag.ports_in_use)
    except OSError:
        others = (port for _, port in net_tcp.connections(pid))
        return frozenset(net_tcp.listeners(pid).values()).union(others)
    finally:
        os.close(fd)
