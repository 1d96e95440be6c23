"""Client connections to a pod, one request at a time, from the client's namespace."""

import socket

from bench.rig.closing import Closing
from bench.rig.pod import FakePod


class Connection(Closing):
    """A connection from the pod's client namespace, by default to its usual port. Times out after
    `timeout` seconds."""

    def __init__(
        self,
        pod: FakePod,
        receive_buffer: int | None = None,
        timeout: float = 10.0,
        port: int | None = None,
    ) -> None:
        self._socket = pod.client.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(timeout)
        self._socket.connect((pod.address, port or pod.port))

    @property
    def port(self) -> int:
        """The client's port."""
        port: int = self._socket.getsockname()[1]
        return port

    def close(self) -> None:
        self._socket.close()

    def send(self, path: str, close: bool = False) -> None:
        farewell = "Connection: close\r\n" if close else ""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: pod\r\n{farewell}\r\n".encode())

    def get(self, path: str = "/", close: bool = False) -> bytes:
        """Head and body of a small reply."""
        self.send(path, close)
        return self._socket.recv(65536)

    def read(self, size: int = 65536) -> bytes:
        """The next bytes; empty at the end."""
        return self._socket.recv(size)

    def read_all(self) -> int:
        """Read to the end; returns the number of bytes."""
        received = 0
        while data := self.read():
            received += len(data)
        return received
