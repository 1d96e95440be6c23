"""`drainmon advise`: options for the hooks, computed from recorded drains."""

import argparse
import sys
from typing import Any

from drainmon.cli import flags

TOO_FEW = 3


def add_parser(commands: Any) -> None:
    parser: flags.Command = commands.add_parser(
        "advise",
        help="recommend options for the hooks",
        description="Recommends --min-wait, --timeout and terminationGracePeriodSeconds from the"
        " drains that the node's daemon has recorded. Exit codes: 0 complete advice, 1 nothing"
        " could be read, 3 too few drains.",
    )
    flags.add_socket(parser)
    parser.add_flag(
        "--file",
        metavar="PATH",
        help="read drains from a file, - for standard input: records of GET /v1/drains, the"
        " daemon's log of --log-format json, or Prometheus's text, from any number of nodes",
    )
    flags.add_json(parser, "one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the advice. Exit codes: 0 complete, 3 too few drains. Raises OSError when the daemon
    does not answer, or the file cannot be read."""
    # The other commands start faster without these modules.
    from drainmon.cli import advise_view, client, evidence  # noqa: PLC0415
    from drainmon.drain.advice import advise, from_records  # noqa: PLC0415

    if arguments.file is None:
        where = f"the daemon at {arguments.socket}"
        try:
            known = from_records(client.get(arguments.socket, "/v1/drains")["drains"])
        except ValueError as error:
            raise OSError(f"cannot read the answer of {where}: {error}") from None
    else:
        where = "standard input" if arguments.file == "-" else arguments.file
        known = evidence.read(arguments.file)
    advice = advise(known)
    if arguments.json:
        text = advise_view.as_document(known, advice)
    else:
        text = advise_view.as_lines(known, advice, where)
    sys.stdout.write(text + "\n")
    return 0 if advice.min_wait is not None and advice.timeout is not None else TOO_FEW
