"""Which ports listen in the network namespace of a process."""

import os

from drainmon.kernel import netns, sock_diag
from drainmon.procfs import net_tcp, process


def listeners_of(pid: int) -> dict[int, int]:
    """Local port by socket inode of every listener in the process's netns, IPv4 and IPv6.

    From inside the namespace, which takes CAP_SYS_ADMIN and a hundredth of the time; else from
    /proc. Raises OSError when the process is gone.
    """
    fd = process.open_netns(pid)
    try:
        return netns.call_in(fd, sock_diag.listeners)
    except OSError:
        return net_tcp.listeners(pid)
    finally:
        os.close(fd)
