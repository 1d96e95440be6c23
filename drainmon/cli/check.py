"""`drainmon check`: what each source needs, what this host has, and which source would be used."""

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
"""Seconds to wait for a daemon's answer."""


def add_parser(commands: Any) -> None:
    parser: flags.Command = commands.add_parser(
        "check",
        help="check whether this host meets drainmon's requirements",
        description="Shows what each source requires, whether this host has it, and how to fix"
        " what is missing. Changes nothing. Exit codes: 0 usable, 1 degraded (something is missing"
        " or degraded, but drainmon works), 2 unusable.",
    )
    flags.add_socket(parser)
    flags.add_pod_logs(parser)
    flags.add_process(parser)
    flags.add_json(parser, "one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print every fact. Exit codes: 0 usable, 1 degraded, 2 unusable."""
    # These modules load libbpf, which the other commands do without.
    from drainmon.cli import check_view, client  # noqa: PLC0415
    from drainmon.facts.fact import judge  # noqa: PLC0415
    from drainmon.facts.survey import survey  # noqa: PLC0415

    # libbpf explains each failure; here the facts do.
    logging.getLogger("drainmon").addHandler(logging.NullHandler())

    socket = Path(os.path.realpath(arguments.socket))  # a link may lead to another file system

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
