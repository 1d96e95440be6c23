"""What `drainmon check` shows: each fact, and what they say together. Pure."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby

from drainmon.cli.colour import CYAN, GREEN, RED, YELLOW, painted
from drainmon.facts.fact import Fact, Group, Status, Verdict

TITLES = {
    Group.HOST: "the host",
    Group.CORE: "source core",
    Group.BCC: "source bcc",
    Group.PROCFS: "source procfs",
    Group.SERVING: "serving",
}
_COLOURS = {
    Status.OK: GREEN, Status.DEGRADED: YELLOW, Status.MISSING: RED, Status.UNKNOWN: CYAN,
}  # fmt: skip


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
        status = painted(status, _COLOURS[fact.status])
    advice = f"; {fact.advice}" if fact.advice else ""
    return f"  {status}  {fact.name.ljust(width)}  {fact.found}{advice}"
