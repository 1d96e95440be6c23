"""`drainmon completion`: the script by which a shell completes commands and flags."""

import argparse
import sys
from typing import Any

SHELLS = ("bash", "zsh", "tcsh")


def add_parser(commands: Any, whole: argparse.ArgumentParser) -> None:
    """`whole` is the parser that `commands` are of."""
    parser = commands.add_parser(
        "completion",
        help="print a shell's completion script",
        description="Prints a script that completes drainmon's commands and flags, for example:"
        " drainmon completion bash >/etc/bash_completion.d/drainmon",
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=lambda arguments: run(whole, arguments.shell))


def run(parser: argparse.ArgumentParser, shell: str) -> int:
    # A library that the other commands do without.
    import shtab  # noqa: PLC0415

    sys.stdout.write(shtab.complete(parser, shell))
    return 0
