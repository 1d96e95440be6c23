"""`drainmon top`: the node, live on a terminal."""

import sys
import time
from pathlib import Path

from rich.live import Live

from drainmon.cli import keys, terminal
from drainmon.cli.status import EVERY, read
from drainmon.cli.top_view import View, opens_per_second, render

GLANCE = 0.1
"""Seconds between two looks at the terminal's size."""


def top(socket: Path) -> int:
    """Show the node until the user has had enough, over restarts of the daemon. Raises OSError when
    there is none to begin with."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise OSError("cannot show top: this is no terminal (see `drainmon status --watch`)")
    console = terminal.console()
    view, rates, trouble = View(), dict[str, float](), ""
    node, when = read(socket), time.monotonic()
    with (
        keys.unbuffered(),
        Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live,
    ):
        size = None
        while not view.done:
            if size != console.size:
                size = console.size
                live.update(render(node, rates, view, size.height, trouble), refresh=True)
            for key in keys.pressed(min(GLANCE, max(0.0, when + EVERY - time.monotonic()))):
                view, size = view.press(key), None
            if (now := time.monotonic()) >= when + EVERY:
                try:
                    fresh = read(socket)
                except OSError as error:
                    trouble = str(error)
                else:
                    rates = opens_per_second(node["pods"], fresh["pods"], now - when)
                    node, trouble = fresh, ""
                when, size = now, None
    return 0
