"""`drainmon check`: what this host has of what each source needs, and which source that makes."""

import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TextIO

from drainmon.cli import client
from drainmon.facts.fact import Fact, Group, Status, Verdict, judge
from drainmon.facts.survey import survey

TIMEOUT = 1.0
"""Seconds that a daemon gets to answer."""

TITLES = {
    Group.HOST: "the host",
    Group.CORE: "source core",
    Group.BCC: "source bcc",
    Group.PROCFS: "source procfs",
    Group.SERVING: "serving",
}
_COLOURS = {Status.OK: 32, Status.DEGRADED: 33, Status.MISSING: 31, Status.UNKNOWN: 36}


def check(environment: Mapping[str, str], socket: Path, pod_logs: Path, as_json: bool) -> int:
    """Print every fact. Exit codes: 0 usable, 1 degraded, 2 unusable."""
    # libbpf explains each failure; here the facts do.
    logging.getLogger("drainmon").addHandler(logging.NullHandler())

    def ask(path: Path) -> Mapping[str, object]:
        health: Mapping[str, object] = client.get(path, "/healthz", timeout=TIMEOUT)
        return health

    socket = Path(os.path.realpath(socket))  # its file system is that behind a link
    facts = tuple(survey(environment, socket, pod_logs, ask))
    verdict = judge(facts)
    if as_json:
        text = as_document(facts, verdict)
    else:
        text = as_lines(facts, verdict, wants_colour(environment, sys.stdout))
    sys.stdout.write(text + "\n")
    return verdict.exit_code


def wants_colour(environment: Mapping[str, str], stream: TextIO) -> bool:
    """On a terminal, unless NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not environment.get("NO_COLOR")


def as_document(facts: Sequence[Fact], verdict: Verdict) -> str:
    """One JSON object."""
    return json.dumps(
        {
            "usable": verdict.source is not None,
            "degraded": verdict.degraded,
            "source": verdict.source,
            "facts": [asdict(fact) for fact in facts],
        },
        indent=2,
    )


def as_lines(facts: Sequence[Fact], verdict: Verdict, colour: bool) -> str:
    """One line a fact, below the title of its group; last, what `--source auto` would choose."""
    width = max(len(fact.name) for fact in facts)
    lines = []
    for group, members in groupby(facts, key=lambda fact: fact.group):
        lines += [TITLES[group], *(_line(fact, width, colour) for fact in members), ""]
    return "\n".join([*lines, f"would use: {verdict.source or 'none'}"])


def _line(fact: Fact, width: int, colour: bool) -> str:
    status = fact.status.ljust(max(map(len, Status)))
    if colour:
        status = f"\033[{_COLOURS[fact.status]}m{status}\033[0m"
    advice = f"; {fact.advice}" if fact.advice else ""
    return f"  {status}  {fact.name.ljust(width)}  {fact.found}{advice}"
