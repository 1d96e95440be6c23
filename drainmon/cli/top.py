"""`drainmon top`: the node, live on a terminal."""

import sys
import time
from pathlib import Path

from rich.live import Live

from drainmon.cli import keys, terminal
from drainmon.cli.status import EVERY, read_named
from drainmon.cli.top_view import View, arrivals_per_second, render, room

GLANCE = 0.1
"""Seconds between two checks of the terminal's size."""


def top(socket: Path) -> int:
    """Show the node until the user quits, across restarts of the daemon. Raises OSError when no
    daemon answers at the start."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise OSError("cannot show top: not a terminal (try `drainmon status --watch`)")
    console = terminal.console()
    view, rates, trouble = View(), dict[str, float](), ""
    node, when = read_named(socket), time.monotonic()
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
                pods = len(view.choose(node["pods"], rates))
                view, size = view.press(key, room(node, console.size.height), pods), None
            if (now := time.monotonic()) >= when + EVERY:
                try:
                    fresh = read_named(socket)
                except OSError as error:
                    trouble = str(error)
                else:
                    rates = arrivals_per_second(node["pods"], fresh["pods"], now - when)
                    node, trouble = fresh, ""
                when, size = now, None
    return 0
