"""Keys as they are pressed, from a terminal."""

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Iterator


@contextlib.contextmanager
def unbuffered() -> Iterator[None]:
    """Keys come one by one and are not shown; as before afterwards, whatever happens."""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def pressed(timeout: float) -> list[str]:
    """The keys pressed within so many seconds; returns at the first. A key that sends a sequence
    (an arrow) is left out."""
    fd = sys.stdin.fileno()
    if not select.select([fd], [], [], timeout)[0]:
        return []
    sent = os.read(fd, 1024)
    if not sent:
        raise EOFError("the terminal is gone")
    if len(sent) > 1 and sent.startswith(b"\x1b"):
        return []
    return list(sent.decode(errors="replace"))
