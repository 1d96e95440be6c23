"""A pod's network namespace, held open for source procfs."""

import os
from collections.abc import Callable
from contextlib import ExitStack

from drainmon.kernel.sock_diag import SockDiag
from drainmon.procfs import net_files, process
from drainmon.sources.base import Place


class PodNet(Place):
    """Open files of /proc/<pid>/net, and a netlink socket in the namespace, if one could be
    made."""

    def __init__(self, files: tuple[int, ...], netns: int, diag: SockDiag | None) -> None:
        super().__init__(files, netns)
        self.diag = diag
        self.snmp, self.netstat, *self.tables = files

    def dup(self) -> "PodNet":
        """A copy with descriptors of its own."""
        with ExitStack() as opened:
            files = []
            for file in self.files:
                files.append(os.dup(file))
                opened.callback(os.close, files[-1])
            diag = self.diag.dup() if self.diag else None
            opened.pop_all()
        return PodNet(tuple(files), self.netns, diag)

    def close(self) -> None:
        super().close()
        if self.diag:
            self.diag.close()


def open_pod_net(pid: int, open_diag: Callable[[int], SockDiag | None]) -> PodNet:
    """The namespace of a process. `open_diag` gets a descriptor of it. Raises OSError "cannot X:
    why"; FileNotFoundError or ProcessLookupError when the process has ended, or has changed
    namespaces meanwhile.

    The files of /proc/<pid>/net do not identify their namespace. So the process's namespace is read
    before and after they are opened: an open descriptor keeps its inode from being reused.
    """
    with ExitStack() as held, ExitStack() as on_error:
        fd = _open_netns(pid)
        held.callback(os.close, fd)
        inode = os.fstat(fd).st_ino
        diag = open_diag(fd)
        if diag:
            on_error.callback(diag.close)
        files = net_files.open_net(pid)
        for file in files:
            on_error.callback(os.close, file)
        if process.netns_inode(pid) != inode:
            raise ProcessLookupError(f"cannot reach the pod: pid {pid} is another process now")
        on_error.pop_all()
    return PodNet(files, inode, diag)


def _open_netns(pid: int) -> int:
    try:
        return process.open_netns(pid)
    except OSError as error:
        raise OSError(error.errno, f"cannot open /proc/{pid}/ns/net: {error.strerror}") from error
