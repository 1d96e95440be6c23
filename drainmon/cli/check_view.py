"""The output of `drainmon check`: each fact, and the verdict. Pure."""

import json
from dataclasses import asdict
from itertools import groupby

from drainmon import SOURCES
from drainmon.cli.colour import CYAN, DIM, GREEN, RED, YELLOW, painted
from drainmon.facts.fact import Fact, Group, Status, Verdict

TITLES = {Group.HOST: "the host", Group.SERVING: "serving"} | {
    Group(source): f"source {source}" for source in SOURCES
}
_COLOURS = {
    Status.OK: GREEN, Status.NOTE: DIM, Status.DEGRADED: YELLOW, Status.MISSING: RED,
    Status.UNKNOWN: CYAN,
}  # fmt: skip


def as_document(verdict: Verdict) -> str:
    """One JSON object."""
    return json.dumps(
        {
            "usable": verdict.source is not None,
            "degraded": verdict.degraded,
            "source": verdict.source,
            "facts": [asdict(fact) for fact in verdict.facts],
        },
        indent=2,
    )


def as_lines(verdict: Verdict, colour: bool) -> str:
    """One line per fact, below the title of its group. The last line has the source that
    `--source auto` would choose, and this host's shortcomings."""
    width = max(len(fact.name) for fact in verdict.facts)
    lines = []
    for group, members in groupby(verdict.facts, key=lambda fact: fact.group):
        lines += [TITLES[group], *(_line(fact, width, colour) for fact in members), ""]
    why = ", ".join(verdict.shortcomings)
    choice = verdict.source or "none"
    if verdict.degraded:
        choice += f" (degraded: {why})" if verdict.source else f" (unusable: {why})"
    return "\n".join([*lines, f"would use: {choice}"])


def _line(fact: Fact, width: int, colour: bool) -> str:
    status = fact.status.ljust(max(map(len, Status)))
    if colour:
        status = painted(status, _COLOURS[fact.status])
    advice = f"; {fact.advice}" if fact.advice else ""
    return f"  {status}  {fact.name.ljust(width)}  {fact.found}{advice}"
