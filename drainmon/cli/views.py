"""The commands that show what a running daemon knows: their flags, and who runs them. What
they show it with is imported for the one that is run: nothing else needs it."""

import argparse
from collections.abc import Mapping
from typing import Any

from drainmon.cli import flags


def add_parsers(commands: Any, environment: Mapping[str, str]) -> None:
    """Add them to `commands` (what `add_subparsers` gave)."""
    status = commands.add_parser(
        "status",
        help="show the node's pods and latest drains",
        description="Shows the pods of this node with their connections, and the latest drains."
        " Exit codes: 0 all is well, 1 the daemon does not answer, 3 it has a lesser source.",
    )
    status.set_defaults(run=_status)
    connections = commands.add_parser(
        "connections",
        help="show who is connected to a pod",
        description="Shows the connections of a pod's nginx, those in flight first.",
    )
    connections.set_defaults(run=_connections)
    drains = commands.add_parser(
        "drains",
        help="show the latest drains",
        description="Shows the records of the latest drains, at most 1,000.",
    )
    drains.set_defaults(run=_drains)
    top = commands.add_parser(
        "top",
        help="show the node live",
        description="Shows pods and drains live. Keys: s next sort order, r reverse it, / filter by"
        " name (Esc: no filter), q quit.",
    )
    top.set_defaults(run=_top)
    for parser in (status, connections, drains, top):
        flags.add_socket(parser, environment)
    for parser in (status, connections, drains):
        flags.add_json(parser, environment, "JSON, one value a line")
    status.add_argument(
        "--watch",
        action="store_true",
        default=flags.is_set(environment, "DRAINMON_WATCH"),
        help="go on, every second",
    )
    connections.add_argument(
        "pod", nargs="?", metavar="POD", help="its name or a part of it (default: every pod)"
    )


def _status(arguments: argparse.Namespace) -> int:
    from drainmon.cli.status import status  # noqa: PLC0415

    return status(arguments.socket, arguments.json, arguments.watch)


def _connections(arguments: argparse.Namespace) -> int:
    from drainmon.cli.connections import connections  # noqa: PLC0415

    return connections(arguments.socket, arguments.pod, arguments.json)


def _drains(arguments: argparse.Namespace) -> int:
    from drainmon.cli.status import drains  # noqa: PLC0415

    return drains(arguments.socket, arguments.json)


def _top(arguments: argparse.Namespace) -> int:
    from drainmon.cli.top import top  # noqa: PLC0415

    return top(arguments.socket)
