"""Interrupts at inconvenient moments."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def held_back() -> Iterator[None]:
    """Delay interrupts during the block to its end.

    An interrupt amid Popen would leave a running process without an owner.
    """
    if threading.current_thread() is not threading.main_thread():  # no handler runs there
        yield
        return
    held: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: held.append(number))
        for number in INTERRUPTS
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for late in held:
            signal.raise_signal(late)
