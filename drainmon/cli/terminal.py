"""Where text goes: a terminal, with its width and colours, or a pipe, with neither."""

import sys
from typing import TextIO

from rich.console import Console, RenderableType

from drainmon.cli.fitted import ENDLESS


def console(out: TextIO | None = None) -> Console:
    """Colours and width are a terminal's own; NO_COLOR is honoured (no-color.org)."""
    out = out or sys.stdout
    return Console(file=out, width=None if out.isatty() else ENDLESS, highlight=False)


def show(rendered: RenderableType, out: TextIO | None = None) -> None:
    """Print a table or text, without the blanks that tables end their lines with."""
    on = console(out)
    with on.capture() as captured:
        on.print(rendered)
    text = captured.get()
    if not on.is_terminal:
        text = "".join(line.rstrip() + "\n" for line in text.splitlines())
    on.file.write(text)
    on.file.flush()
