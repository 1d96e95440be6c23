"""`drainmon check`: what this host has of what each source needs, and which source that makes."""

import argparse
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drainmon.cli import flags
from drainmon.cli.colour import wants_colour

TIMEOUT = 1.0
"""Seconds that a daemon gets to answer."""


def add_parser(commands: Any) -> None:
    parser: flags.Command = commands.add_parser(
        "check",
        help="show what this host has of what drainmon needs",
        description="Shows, for each source, what it needs, what this host has of it, and what to"
        " do about what is missing. Changes nothing. Exit codes: 0 usable, 1 degraded (something"
        " above is missing or degraded, and drainmon works all the same), 2 unusable.",
    )
    flags.add_socket(parser)
    flags.add_pod_logs(parser)
    flags.add_process(parser)
    flags.add_json(parser, "one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print every fact. Exit codes: 0 usable, 1 degraded, 2 unusable."""
    # They know libbpf, which the other commands do without.
    from drainmon.cli import check_view, client  # noqa: PLC0415
    from drainmon.facts.fact import judge  # noqa: PLC0415
    from drainmon.facts.survey import survey  # noqa: PLC0415

    # libbpf explains each failure; here the facts do.
    logging.getLogger("drainmon").addHandler(logging.NullHandler())

    socket = Path(os.path.realpath(arguments.socket))  # its file system is that behind a link

    def ask(resource: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = client.get(socket, resource, timeout=TIMEOUT)
        return answer

    names = frozenset(flags.process_names(arguments))
    verdict = judge(survey(os.environ, socket, arguments.pod_logs, names, ask))
    if arguments.json:
        text = check_view.as_document(verdict)
    else:
        text = check_view.as_lines(verdict, wants_colour(os.environ, sys.stdout))
    sys.stdout.write(text + "\n")
    return verdict.exit_code
