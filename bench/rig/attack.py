"""What a pod may do at the cost of others: `python -m bench.rig.attack listeners --name nginx`.

`listeners`: --number listeners, on a port each. `listen-loop`: --number processes that listen and
close without a pause, on any port. `idle-loop`: the same without listening. `connections`: --number
idle connections with both ends here. Everything happens in the current namespace, under --name,
until standard input ends.
"""

import argparse
import ctypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
PER_PROCESS = 8_000
"""Listeners or connections per process, below the limit of open files."""
FIRST_PORT = 1024
BACKLOG = 4096
CLIENTS = 16_384
"""Connections per address, well below the number of ports."""

_libc = ctypes.CDLL(None)


def listeners(number: int, place: int) -> list[socket.socket]:
    first = FIRST_PORT + place * PER_PROCESS
    return [socket.create_server(("127.0.0.1", port)) for port in range(first, first + number)]


def connections(number: int, place: int) -> list[socket.socket]:
    port = FIRST_PORT + place
    kept = [socket.create_server(("127.0.0.1", port), backlog=BACKLOG)]
    for done in range(number):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind((f"127.1.{place}.{1 + done // CLIENTS}", FIRST_PORT + done % CLIENTS))
        client.connect(("127.0.0.1", port))
        kept += [client, kept[0].accept()[0]]
    return kept


def listen_loop(number: int, _place: int) -> list[int]:
    return [_fork(_listen_and_close) for _ in range(number)]


def idle_loop(number: int, _place: int) -> list[int]:
    return [_fork(_only_close) for _ in range(number)]


def _listen_and_close() -> None:
    with socket.socket() as listener:
        listener.listen()


def _only_close() -> None:
    socket.socket().close()


def _fork(work: Callable[[], object]) -> int:
    child = os.fork()
    if child:
        return child
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    while True:
        work()


WAYS: dict[str, Callable[[int, int], object]] = {
    "listeners": listeners,
    "connections": connections,
    "listen-loop": listen_loop,
    "idle-loop": idle_loop,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--name", required=True)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--place", type=int, default=0, help="among such processes of a namespace")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _libc.prctl(PR_SET_NAME, options.name.encode(), 0, 0, 0)
    kept = WAYS[options.way](options.number, options.place)
    print("ready", flush=True)
    sys.stdin.read()
    if options.way.endswith("loop"):  # otherwise the files close with the process
        for child in kept if isinstance(kept, list) else ():
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
