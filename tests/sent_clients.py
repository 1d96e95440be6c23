"""Clients that are still sent to a pod, as load on its own address is."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def clients_sent(
    connect: Callable[[], T], close: Callable[[T], None], at_once: int, seconds: float
) -> Iterator[None]:
    """Keep `at_once` connections open until the block ends, each for `seconds`."""
    over = threading.Event()
    full = threading.Event()

    def send() -> None:
        held = deque(connect() for _ in range(at_once))
        while not over.wait(seconds / at_once):
            full.set()
            held.append(connect())
            close(held.popleft())
        for connection in held:
            close(connection)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        assert full.wait(10)
        yield
    finally:
        over.set()
        sending.join()
