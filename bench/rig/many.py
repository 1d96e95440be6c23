"""Many pods at little cost: `python -m bench.rig.many --pods 500 --connections 10`.

Each pod is one process in its own network namespace, named nginx unless --name is given, which
listens and has connections to itself. They run until standard input ends. Standard output: their
pids in a line, once all of them listen.
"""

import argparse
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PORTS = (80, 443)
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
SIOCSIFFLAGS, IFF_UP = 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)


def be_a_pod(name: str, connections: int) -> list[socket.socket]:
    """Turn this process into a pod; returns its sockets, with `connections` among them."""
    if _libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot make a network namespace")
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    _libc.prctl(PR_SET_NAME, name.encode(), 0, 0, 0)
    kept: list[socket.socket] = []
    for port in PORTS:
        listener = socket.create_server(("127.0.0.1", port))
        kept.append(listener)
        for _ in range(connections // len(PORTS)):
            kept += [socket.create_connection(("127.0.0.1", port)), listener.accept()[0]]
    return kept


@contextmanager
def many_pods(pods: int, connections: int, name: str = "nginx") -> Iterator[list[int]]:
    """Run `pods` pods, each one process of that name (at most 15 bytes) with `connections`; yields
    their pids. A pod ends with its process."""
    argv = [
        sys.executable,
        "-m",
        "bench.rig.many",
        f"--pods={pods}",
        f"--connections={connections}",
        f"--name={name}",
    ]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == pods
        yield pids


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, required=True)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--name", default="nginx")
    options = parser.parse_args()
    ready, signal_ready = os.pipe()
    children = []
    for _ in range(options.pods):
        child = os.fork()
        if not child:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            kept = be_a_pod(options.name, options.connections)
            os.write(signal_ready, b".")
            signal.pause()
            del kept
        children.append(child)
        os.read(ready, 1)
    print(*children, flush=True)
    sys.stdin.read()
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
