"""A pod's network namespace as source procfs holds it open."""

import os
from contextlib import ExitStack

from drainmon.kernel import netns
from drainmon.kernel.sock_diag import SockDiag
from drainmon.procfs import net_files, process
from drainmon.sources.base import Place


class PodNet(Place):
    """Open files of /proc/<pid>/net, and a netlink socket of the namespace where one was made."""

    def __init__(self, files: tuple[int, ...], diag: SockDiag | None) -> None:
        super().__init__(files)
        self.diag = diag
        self.snmp, self.netstat, *self.tables = files

    def dup(self) -> "PodNet":
        """The same namespace, to be closed apart."""
        with ExitStack() as opened:
            files = []
            for file in self.files:
                files.append(os.dup(file))
                opened.callback(os.close, files[-1])
            diag = self.diag.dup() if self.diag else None
            opened.pop_all()
        return PodNet(tuple(files), diag)

    def close(self) -> None:
        super().close()
        if self.diag:
            self.diag.close()


def open_diag(pid: int) -> SockDiag:
    """A netlink socket of the process's namespace that answers. Raises OSError "cannot X: why"."""
    fd = process.open_netns(pid)
    try:
        return netns.call_in(fd, SockDiag)
    finally:
        os.close(fd)


def open_pod_net(pid: int, diag: SockDiag | None) -> PodNet:
    """The namespace of a process; takes over `diag`, also when it fails."""
    try:
        return PodNet(net_files.open_net(pid), diag)
    except BaseException:
        if diag:
            diag.close()
        raise
