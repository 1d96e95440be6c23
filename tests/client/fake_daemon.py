"""A drainmon daemon that follows a test's script, including misbehaviour."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.rig.closing import Closing
from bench.rig.netns import Netns

Answer = dict[str, Any]


class Conversation:
    """One client's connection, seen from the daemon. Writes to a client that has gone are lost."""

    def __init__(self, connection: socket.socket, over: threading.Event) -> None:
        self.connection = connection
        self.over = over
        self.request: Answer = {}
        self.head_line = ""

    def read_request(self) -> Answer:
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = self.connection.recv(4096)
            if not chunk:
                return {}
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        while len(body) < int(fields["Content-Length"]):
            body += self.connection.recv(4096)
        self.head_line = head.decode().split("\r\n")[0]
        self.request = json.loads(body)
        return self.request

    def head(self, status: str = "200 OK", kind: str = "application/x-ndjson") -> None:
        self.raw(f"HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nServer: fake\r\n\r\n".encode())

    def line(self, **fields: Any) -> None:
        self.raw(json.dumps(fields).encode() + b"\n")

    def phase(self, phase: str, in_flight: int = 1, **fields: Any) -> None:
        by_state = {"ESTABLISHED": in_flight} if in_flight else {}
        self.line(phase=phase, in_flight=in_flight, by_state=by_state, elapsed=0.1, **fields)

    def raw(self, data: bytes) -> None:
        with suppress(OSError):
            self.connection.sendall(data)

    def hang(self) -> None:
        """Stay silent for as long as the client stays."""
        self.connection.settimeout(0.02)
        while not self.over.is_set():
            with suppress(TimeoutError):
                try:
                    if not self.connection.recv(4096):
                        return
                except ConnectionError:
                    return


Script = Callable[[Conversation], None]


class FakeDaemon(Closing):
    """Plays `scripts`, one for each connection; the last one repeats.

    It listens at a path, or in `netns` at an abstract name, written `@name`.
    """

    def __init__(
        self, where: Path | str, *scripts: Script, backlog: int = 8, netns: Netns | None = None
    ) -> None:
        self.path = where if isinstance(where, Path) else None
        self.requests: list[Answer] = []
        self.head_lines: list[str] = []
        self._scripts = scripts
        self._over = threading.Event()
        self.listener = netns.socket(socket.AF_UNIX) if netns else socket.socket(socket.AF_UNIX)
        self.listener.bind(str(where).replace("@", "\0", 1) if not self.path else str(where))
        self.listener.listen(backlog)
        self.listener.settimeout(0.02)
        self._threads = [threading.Thread(target=self._accept)] if scripts else []
        for thread in self._threads:
            thread.start()

    def _accept(self) -> None:
        count = 0
        while not self._over.is_set():
            with suppress(TimeoutError):
                connection, _ = self.listener.accept()
                script = self._scripts[min(count, len(self._scripts) - 1)]
                count += 1
                thread = threading.Thread(target=self._talk, args=(connection, script))
                self._threads.append(thread)
                thread.start()

    def _talk(self, connection: socket.socket, script: Script) -> None:
        with connection:
            conversation = Conversation(connection, self._over)
            with suppress(ConnectionError):
                self.requests.append(conversation.read_request())
                self.head_lines.append(conversation.head_line)
                script(conversation)

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.listener.close()
        if self.path:
            self.path.unlink()
