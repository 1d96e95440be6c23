"""Reads keys from a terminal as they are pressed."""

import contextlib
import os
import re
import select
import sys
import termios
import tty
from collections.abc import Iterator

ESCAPE = "\x1b"
UP, DOWN, PAGE_UP, PAGE_DOWN, HOME, END = "up", "down", "page up", "page down", "home", "end"
SEQUENCES = {
    "\x1b[A": UP, "\x1b[B": DOWN, "\x1bOA": UP, "\x1bOB": DOWN,
    "\x1b[5~": PAGE_UP, "\x1b[6~": PAGE_DOWN,
    "\x1b[H": HOME, "\x1b[F": END, "\x1bOH": HOME, "\x1bOF": END, "\x1b[1~": HOME, "\x1b[4~": END,
}  # fmt: skip
"""Sequences that terminals send for keys without a character (xterm's ctlseqs)."""

_KEY = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1bO.|.", re.DOTALL)


@contextlib.contextmanager
def unbuffered() -> Iterator[None]:
    """Read keys one by one, without echo, until the block ends."""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def pressed(timeout: float) -> list[str]:
    """The keys pressed within `timeout` seconds; returns at the first. Unknown sequences are
    skipped."""
    fd = sys.stdin.fileno()
    if not select.select([fd], [], [], timeout)[0]:
        return []
    sent = os.read(fd, 1024)
    if not sent:
        raise EOFError("the terminal is gone")
    return parse(sent.decode(errors="replace"))


def parse(sent: str) -> list[str]:
    """The keys in a terminal's input."""
    keys = (SEQUENCES.get(key, key) for key in _KEY.findall(sent))
    return [key for key in keys if not key.startswith(ESCAPE) or key == ESCAPE]
