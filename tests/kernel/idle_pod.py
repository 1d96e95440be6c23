"""A pod whose process does nothing: the test itself serves its port."""

import subprocess

from bench.rig.closing import Closing
from bench.rig.netns import Netns
from drainmon.pods.identity import Identity
from drainmon.pods.pod import NginxProcess, Pod
from drainmon.procfs import process
from tests.kernel.pair import PORT
from tests.waiting import eventually


class IdlePod(Closing):
    """A pod with one process in the namespace, until it is closed."""

    def __init__(self, namespace: Netns, number: int = 1, port: int = PORT) -> None:
        self._process = subprocess.Popen(namespace.command(["sleep", "infinity"]))
        self.pid = self._process.pid
        try:
            eventually(lambda: process.netns_inode(self.pid) == namespace.inode)
            nginx = NginxProcess(self.pid, 1, process.start_time(self.pid))
        except BaseException:
            self.close()
            raise
        self.pod = Pod(number, namespace.inode, Identity(), (nginx,), frozenset({port}))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
