"""nginx with a long download, the hook beside it, and a sidecar. Import `folder` and `sidecar`."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig.netns import Netns
from tests.client.run import Client

QUICK = ["--socket=/nonexistent", "--no-pod-log", "--min-wait=0.3s", "--quiet=0.2s",
         "--timeout=20s"]  # fmt: skip
FILE_BYTES = 8_000_000
"""More than the kernel takes from nginx: the download lasts until its client reads."""


def serving(port: int, folder: Path) -> str:
    return f"listen {port}; location = /slow {{ alias {folder}/file; }}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"x" * FILE_BYTES)
    return tmp_path


@pytest.fixture
def sidecar(pod_netns: Netns) -> Iterator[socket.socket]:
    """Another server of the pod, with a client that stays connected."""
    with pod_netns.socket() as listener, pod_netns.socket() as theirs:
        listener.bind(("127.0.0.1", 9100))
        listener.listen()
        theirs.connect(("127.0.0.1", 9100))
        ours, _ = listener.accept()
        with ours:
            yield listener


def hook(where: Netns, client: Path, *arguments: str, by: list[str] | None = None) -> Client:
    return Client(where.command([*(by or []), str(client), *QUICK, *arguments]))


def download(where: Netns) -> socket.socket:
    """A download that nginx has begun to answer."""
    made = where.socket()
    made.settimeout(10)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", 8080))
    made.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
    assert made.recv(8).startswith(b"HTTP/1.1")
    return made


def refuses(where: Netns, port: int = 8080) -> bool:
    with where.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) != 0
