"""The commands that query a running daemon, and their flags. Each imports its modules when it runs:
the other commands start faster without them."""

import argparse
from typing import Any

from drainmon.cli import completion, flags


def add_parsers(commands: Any) -> None:
    """Add the commands to `commands`, the result of `add_subparsers`."""
    status: flags.Command = commands.add_parser(
        "status",
        help="show the node's pods and latest drains",
        description="Shows the pods of this node with their connections, and the latest drains."
        " Exit codes: 0 ok, 1 the daemon does not answer, 3 the daemon uses a worse source than the"
        " best.",
    )
    status.set_defaults(run=_status)
    connections: flags.Command = commands.add_parser(
        "connections",
        help="show a pod's connections",
        description="Shows the connections of a pod's nginx, the ones in flight first.",
    )
    connections.set_defaults(run=_connections)
    drains: flags.Command = commands.add_parser(
        "drains",
        help="show the latest drains",
        description="Shows the records of the latest drains, at most 1,000.",
    )
    drains.set_defaults(run=_drains)
    top: flags.Command = commands.add_parser(
        "top",
        help="show the node live",
        description="Shows pods and drains live. Keys: s next sort order, r reverse, / filter by"
        " name (Esc: no filter), arrows, j, k, Page Up, Page Down, g, G scroll, q quit.",
    )
    top.set_defaults(run=_top)
    for parser in (status, connections, drains, top):
        flags.add_socket(parser)
    for parser in (status, connections, drains):
        flags.add_json(parser, "one JSON value per line")
    status.add_switch("--watch", help="repeat every second")
    pod: Any = connections.add_argument(
        "pod", nargs="?", metavar="POD", help="a pod's name or part of it (default: every pod)"
    )
    pod.complete = completion.POD_NAMES


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
