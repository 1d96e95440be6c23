"""Clients of a scene during a roll: long responses, and requests that must not wait."""

import math
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from tests.e2e.scenes import Ended, Scene
from tests.waiting import eventually

HELD = "location = /held { proxy_buffering off; proxy_pass http://127.0.0.1:9021; }"
SIZE = 2000

LONGEST = 20.0
"""Seconds to wait for a moment of the drain: less than the drain's timeout, so that a failing drain
still ends as such."""

PAUSE = 0.3
"""Seconds between two requests: more than the scenes' quiet period."""


class Held:
    """Responses to /held that nginx has begun, and cannot end before `let_go`."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._free = threading.Event()
        self._backend = scene.stack.enter_context(scene.namespace.socket())
        self._backend.bind(("127.0.0.1", 9021))
        self._backend.listen()
        self._number = 0

    def begin(self) -> None:
        """Begin another response on a new connection; returns when its first bytes have arrived."""
        self._number += 1
        self._scene.client(self._serve)
        self._scene.download(self._scene.connect(), "/held")

    def let_go(self) -> None:
        self._free.set()

    def are_whole(self, ended: Ended) -> bool:
        return [size for size in ended.got if size is not None] == [SIZE] * self._number

    def _serve(self) -> None:
        with self._backend.accept()[0] as upstream:
            upstream.recv(4096)
            head = f"HTTP/1.0 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"
            upstream.sendall(head.encode() + b"x" * (SIZE // 2))
            self._free.wait(2 * LONGEST)
            upstream.sendall(b"x" * (SIZE // 2))


class Visits:
    """Requests, one after the other, each on a new connection."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.waits: list[float] = []
        """Seconds until each was answered, infinite for one that was not."""

    def make(self, since: Callable[[], object], until: Callable[[], object]) -> float:
        """Make requests between two moments of the drain; returns the seconds between them."""
        with suppress(AssertionError):  # the check afterwards reports more
            eventually(since, LONGEST)
        began = time.monotonic()
        while not until() and time.monotonic() < began + LONGEST:
            self.waits.append(self._one())
            time.sleep(PAUSE)
        return time.monotonic() - began

    def _one(self) -> float:
        began = time.monotonic()
        with self._scene.namespace.socket() as connection, suppress(OSError):
            connection.settimeout(30)
            connection.connect(("127.0.0.1", 8080))
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if b"200 OK" in connection.recv(4096):
                return time.monotonic() - began
        return math.inf

    @property
    def worst(self) -> float:
        """The longest duration of a request; infinite when there was none."""
        return max(self.waits, default=math.inf)


def idle(scene: Scene) -> socket.socket:
    """A connection that has had its response and stays open."""
    connection = scene.connect()
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200 OK" in connection.recv(4096)
    return connection


def after(seconds: float) -> Callable[[], bool]:
    """A moment `seconds` after the first call."""
    end: list[float] = []

    def come() -> bool:
        end.append(time.monotonic() + seconds)
        return time.monotonic() >= end[0]

    return come
