"""The commands that show what a running daemon knows: their flags, and who runs them."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

SHELLS = ("bash", "zsh", "tcsh")


def is_set(environment: Mapping[str, str], name: str) -> bool:
    """Whether a variable that stands for a flag without a value is true."""
    return environment.get(name, "").lower() in {"1", "true", "yes"}


def add_parsers(
    commands: Any, common: argparse.ArgumentParser, environment: Mapping[str, str]
) -> None:
    """Add them to `commands` (what `add_subparsers` gave), with the flags of `common`."""
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument(
        "--json",
        action="store_true",
        default=is_set(environment, "DRAINMON_JSON"),
        help="print JSON, one value a line",
    )
    status = commands.add_parser(
        "status",
        parents=[common, as_json],
        help="show the node's pods and latest drains",
        description="Shows the pods of this node with their connections, and the latest drains."
        " Exit codes: 0 all is well, 1 the daemon does not answer, 3 it has a lesser source.",
    )
    status.add_argument(
        "--watch",
        action="store_true",
        default=is_set(environment, "DRAINMON_WATCH"),
        help="go on, every second",
    )
    connections = commands.add_parser(
        "connections",
        parents=[common, as_json],
        help="show who is connected to a pod",
        description="Shows the connections of a pod's nginx, those in flight first.",
    )
    connections.add_argument(
        "pod", nargs="?", metavar="POD", help="its name or a part of it (default: every pod)"
    )
    commands.add_parser(
        "drains",
        parents=[common, as_json],
        help="show the latest drains",
        description="Shows the records of the latest drains, at most 1,000.",
    )
    commands.add_parser(
        "top",
        parents=[common],
        help="show the node live",
        description="Shows pods and drains live. Keys: s next sort order, r reverse it, / filter by"
        " name (Esc: no filter), q quit.",
    )
    completion = commands.add_parser(
        "completion",
        help="print a shell's completion script",
        description="Prints a script that completes drainmon's commands and flags, for example:"
        " drainmon completion bash >/etc/bash_completion.d/drainmon",
    )
    completion.add_argument("shell", choices=SHELLS)


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run one of them; the exit code. Raises OSError."""
    # The daemon imports neither of the libraries of these commands.
    if arguments.command == "completion":
        import shtab  # noqa: PLC0415

        sys.stdout.write(shtab.complete(parser, arguments.shell))
        return 0
    from drainmon.cli import connections, status, top  # noqa: PLC0415

    match arguments.command:
        case "status":
            return status.status(arguments.socket, arguments.json, arguments.watch)
        case "connections":
            return connections.connections(arguments.socket, arguments.pod, arguments.json)
        case "drains":
            return status.drains(arguments.socket, arguments.json)
        case _:
            return top.top(arguments.socket)
