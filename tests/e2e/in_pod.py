"""Clients of the daemon's sockets in a pod: the node, and others."""

import errno
import json
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.rig.netns import Netns
from bench.rig.pod import FakePod

PORT = 9936


def call(
    pod: FakePod, path: str, caller: Netns | None = None, address: str | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and answer of GET on the port in the pod, from the node or from `caller`."""
    argv = ["curl", "-sS", "--max-time", "30", "--write-out", "\n%{http_code}"]
    url = f"http://{address or pod.address}:{PORT}{path}"
    done = subprocess.run(
        (caller or pod.client).command([*argv, url]), capture_output=True, text=True, check=False
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body) if body else {}


class Caller:
    """GET on the port in the pod, from the node, without waiting for the answer."""

    def __init__(self, pod: FakePod, path: str) -> None:
        self._socket = pod.client.socket()
        self._socket.settimeout(30)
        self._socket.connect((pod.address, PORT))
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {pod.address}:{PORT}\r\n\r\n".encode())
        self.began = time.monotonic()

    def answered(self) -> bool:
        """Whether the answer arrives within a moment."""
        return bool(select.select([self._socket], [], [], 0.02)[0])

    def answer(self) -> dict[str, Any]:
        """The answer to a request that was accepted."""
        with self._socket, self._socket.makefile("rb") as lines:
            status = lines.readline().split()[1]
            while lines.readline().strip():
                pass
            assert status == b"200"
            answer: dict[str, Any] = json.loads(lines.readline())
            return answer

    def hang_up(self) -> None:
        self._socket.close()


@contextmanager
def refusals(pod: FakePod) -> Iterator[list[str]]:
    """Connect to the port continuously; yields the list of refusals."""
    found: list[str] = []
    stop = threading.Event()

    def knock() -> None:
        while not stop.wait(0.002):
            with pod.client.socket() as caller:
                if number := caller.connect_ex((pod.address, PORT)):
                    found.append(errno.errorcode[number])

    thread = threading.Thread(target=knock)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


FLOOD = """\
import contextlib, socket, sys
family, address = (socket.AF_INET, (sys.argv[1], int(sys.argv[2]))) if len(sys.argv) > 2 else (
    socket.AF_UNIX, "\\0" + sys.argv[1])
print("begins", flush=True)
while True:
    with socket.socket(family) as caller:
        caller.setblocking(False)
        with contextlib.suppress(OSError):
            caller.connect(address)
"""


@contextmanager
def flooding(namespace: Netns, *address: str) -> Iterator[None]:
    """A process there that connects without a pause: to a name, or to an address and port."""
    argv = namespace.command([sys.executable, "-c", FLOOD, *address])
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"begins\n"
        try:
            yield
        finally:
            process.kill()


SERVER = """\
import ctypes, socket, sys
ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)
server = socket.create_server(("127.0.0.1", 8080))
sys.stdin.read()
"""
"""A process of the given name that listens on port 8080 until its input ends."""
