"""Opens and ends connections in every way, both ends in the current namespace.

`python -m bench.rig.churn --port 8080` reads commands from standard input and answers each with a
line. `run N`: N connections come and go. `hold`: some connections stay open, in many states, until
the process ends. The process is named `churnd`, for a daemon that watches this name. Several
processes may share a port, each with its own `--address`.
"""

import argparse
import contextlib
import ctypes
import os
import random
import signal
import socket
import struct
import sys
from collections.abc import Callable

NAME = b"churnd"
PR_SET_NAME = 15
RESET = struct.pack("ii", 1, 0)
BATCH = 10
HELD = 3


def reset(connection: socket.socket) -> None:
    """Close with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


class Churn:
    """The connections of one port, on every address or on one of 127.0.0.0/8."""

    def __init__(self, port: int, seed: int, only: str | None = None) -> None:
        self.port = port
        self.only = only
        self.random = random.Random(seed)
        self.listener = self.listen()
        self.held: list[socket.socket] = []
        self.endings: list[tuple[Callable[[], int], float]] = [
            (self.client_first, 30),
            (self.server_first, 30),
            (self.reset_by_client, 10),
            (self.reset_by_server, 5),
            (self.half_close, 10),
            (self.close_with_unread_data, 5),
            (self.fast_open, 10),
            (self.die_in_the_accept_queue, 1),
            (self.killed_with_its_process, 0.02),
        ]

    def listen(self) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 128)
        listener.bind((self.only or "0.0.0.0", self.port))  # noqa: S104 - a namespace of its own
        listener.listen(1024)
        return listener

    def address(self) -> tuple[str, int]:
        return self.only or self.any_address(), self.port

    def any_address(self) -> str:
        # Many addresses: a single client address would run out of ports in TIME_WAIT.
        return f"127.0.{self.random.randrange(256)}.{self.random.randrange(1, 255)}"

    def dial(self) -> socket.socket:
        return self.opened(lambda s: s.connect(self.address()))

    def opened(self, how: Callable[[socket.socket], object]) -> socket.socket:
        connection = socket.socket()
        if self.only:
            connection.bind((self.any_address(), 0))
        how(connection)
        return connection

    def pair(self) -> tuple[socket.socket, socket.socket]:
        return self.dial(), self.listener.accept()[0]

    def client_first(self) -> int:
        client, server = self.pair()
        client.close()
        server.close()
        return 1

    def server_first(self) -> int:
        client, server = self.pair()
        server.close()
        client.close()
        return 1

    def reset_by_client(self) -> int:
        client, server = self.pair()
        reset(client)
        server.close()
        return 1

    def reset_by_server(self) -> int:
        client, server = self.pair()
        reset(server)
        client.close()
        return 1

    def half_close(self) -> int:
        client, server = self.pair()
        client.shutdown(socket.SHUT_WR)
        server.send(b"late")
        server.close()
        client.recv(4)
        client.close()
        return 1

    def close_with_unread_data(self) -> int:
        client, server = self.pair()
        client.send(b"never read")
        server.close()
        client.close()
        return 1

    def fast_open(self) -> int:
        client = self.opened(lambda s: s.sendto(b"early", socket.MSG_FASTOPEN, self.address()))
        server = self.listener.accept()[0]
        server.recv(10)
        client.close()
        server.close()
        return 1

    def die_in_the_accept_queue(self) -> int:
        # A second listener on the port gets a share of them, and closes.
        with self.listen():
            clients = [self.dial() for _ in range(BATCH)]
        self.listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.listener.accept()[0].close()
        self.listener.setblocking(True)
        for client in clients:
            client.close()
        return BATCH

    def killed_with_its_process(self) -> int:
        pairs = [self.pair() for _ in range(BATCH)]
        child = os.fork()
        if not child:
            signal.pause()
        for _, server in pairs:
            server.close()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for client, _ in pairs:
            client.close()
        return BATCH

    def run(self, number: int) -> int:
        """Open at least `number` connections; returns how many."""
        ways, weights = zip(*self.endings, strict=True)
        done = 0
        while done < number:
            for way in self.random.choices(ways, weights, k=100):
                done += way()
        return done

    def hold(self) -> int:
        """Leave connections in every lasting state; returns how many."""
        for _ in range(HELD):
            for shut in ("neither", "client", "server", "tail"):
                client, server = self.pair()
                self.held += [client]
                if shut != "tail":
                    self.held.append(server)
                if shut == "client":
                    client.shutdown(socket.SHUT_WR)
                elif shut == "server":
                    server.shutdown(socket.SHUT_WR)
                elif shut == "tail":
                    server.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        while True:
                            server.send(b"x" * 65536)
                    server.close()
        return 4 * HELD


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", help="listen on this one only")
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_NAME, NAME, 0, 0, 0)
    churn = Churn(options.port, options.port, options.address)
    print("ready", flush=True)
    for line in sys.stdin:
        command, *number = line.split()
        print(churn.hold() if command == "hold" else churn.run(int(number[0])), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
