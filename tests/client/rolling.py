"""nginx with any number of workers, and connections to a chosen worker."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.rig.netns import Netns
from tests.client.run import Client, wait_until
from tests.e2e.plain_nginx import PlainNginx, Where

QUICK = ["--socket=/nonexistent", "--no-pod-log", "--verbose", "--min-wait=0.3s", "--quiet=0.2s",
         "--timeout=30s"]  # fmt: skip
DOWNLOAD = 3_000_000
"""More bytes than the kernel takes from nginx, so the download lasts until its client reads."""


class Nginx(PlainNginx):
    """nginx with `workers` processes; `http` goes into that block, /slow is DOWNLOAD bytes long."""

    def __init__(
        self, netns: Netns, folder: Path, workers: int, *, main: str = "", http: str = "",
        where: Where | None = None,
    ) -> None:  # fmt: skip
        self.netns = netns
        folder.mkdir(exist_ok=True)
        (folder / "slow").write_bytes(b"x" * DOWNLOAD)
        super().__init__(where or netns, folder, main=main, workers=workers, http=http)
        wait_until(lambda: len(self.workers()) == workers, "its workers")

    def configure(self, listen: str) -> None:
        super().configure(f"{listen} location = /slow {{ root {self._folder}; }}")

    def request(self, path: str = "/") -> socket.socket:
        """A connection whose response has begun; a request to / leaves it idle."""
        made = self.netns.socket()
        made.settimeout(10)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.connect(("127.0.0.1", 8080))
        version = "1.1" if path == "/" else "1.0"
        made.sendall(f"GET {path} HTTP/{version}\r\nHost: x\r\n\r\n".encode())
        assert made.recv(12) == b"HTTP/1.1 200"
        return made

    def request_to(self, worker: int, path: str = "/") -> socket.socket:
        """A request to a chosen worker: the others are stopped meanwhile."""
        with stopped(self.workers() - {worker}):
            return self.request(path)

    def hook(self, client: Path, *arguments: str, under: tuple[str, ...] = ()) -> Client:
        pid_file = f"--pid-file={self._folder}/pid"
        return Client(self.netns.command([*under, str(client), *QUICK, pid_file, *arguments]))

    def signalled(self, number: signal.Signals) -> list[int]:
        """The pids that have received a signal, in order."""
        return [int(pid) for pid in re.findall(rf"(\d+)#\d+: signal {int(number)} \(", self.log())]


def pending(pid: int, number: signal.Signals) -> bool:
    """Whether a signal waits for a stopped process: ShdPnd of proc_pid_status(5)."""
    (mask,) = re.findall(r"(?m)^ShdPnd:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text())
    return bool(int(mask, 16) >> number - 1 & 1)


@contextmanager
def stopped(pids: set[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    processes = [psutil.Process(pid) for pid in pids]
    wait_until(lambda: all(p.status() == psutil.STATUS_STOPPED for p in processes), "their stop")
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def rest(connection: socket.socket) -> int:
    """The number of bytes up to the connection's end."""
    count = 0
    while received := connection.recv(65536):
        count += len(received)
    return count
