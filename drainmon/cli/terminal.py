"""Output to a terminal, with its width and colours, or to a pipe."""

import sys
from typing import TextIO

from rich.console import Console, RenderableType

from drainmon.cli.fitted import ENDLESS


def console(out: TextIO | None = None) -> Console:
    """A console with the terminal's width and colours; honours NO_COLOR (no-color.org)."""
    out = out or sys.stdout
    return Console(file=out, width=None if out.isatty() else ENDLESS, highlight=False)


def show(rendered: RenderableType, out: TextIO | None = None) -> None:
    """Print a table or text; into a pipe without trailing blanks."""
    on = console(out)
    with on.capture() as captured:
        on.print(rendered)
    text = captured.get()
    if not on.is_terminal:
        text = "".join(line.rstrip() + "\n" for line in text.splitlines())
    on.file.write(text)
    on.file.flush()
