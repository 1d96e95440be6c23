"""The output of `drainmon advise`: percentiles, recommended options, and why. Pure."""

import json
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any

from drainmon.drain.advice import BUSY, MARGIN, SHARE, Advice, Distribution, Evidence
from drainmon.drain.policy import Policy

PERCENTILES = (0.5, 0.9, SHARE)


def _distributions(known: Evidence) -> dict[str, Distribution]:
    named = {"last_arrival": known.last_arrival, "drain": known.seconds}
    if known.after_settling is not None:
        named["after_settling"] = known.after_settling
    return named


def as_document(known: Evidence, advice: Advice) -> str:
    """One JSON object; times in seconds, null where unknown."""
    percentiles: dict[str, Any] = {
        name: {"drains": one.count}
        | {f"p{share * 100:g}": _finite(one.percentile(share)) for share in PERCENTILES}
        for name, one in _distributions(known).items()
    }
    return json.dumps(
        {
            "min_wait": advice.min_wait,
            "timeout": advice.timeout,
            "termination_grace_period_seconds": advice.grace_period,
            "results": dict(known.results),
            "arrived_to_the_end": known.to_the_end,
            "busy": known.busy,
            "confidence": round(known.confidence, 3),
            "percentiles": percentiles,
            "notes": advice.notes,
        },
        indent=2,
    )


def _finite(seconds: float) -> float | None:
    return None if seconds == inf else seconds


TITLES = {
    "last_arrival": "last connection, from the drain's start",
    "after_settling": "until nothing was left, from settling on",
    "drain": "the whole drain",
}


def as_lines(known: Evidence, advice: Advice, where: str) -> str:
    """A screen of text."""
    ended = ", ".join(f"{n} {result}" for result, n in known.results.items() if n) or "none"
    head = ("seconds", *(f"p{share * 100:g}" for share in PERCENTILES), "drains")
    rows = [
        (TITLES[name], *(_seconds(one, share) for share in PERCENTILES), str(one.count))
        for name, one in _distributions(known).items()
    ]
    p = f"p{SHARE * 100:g}"
    needed = f"{MARGIN:g} x {p} of the whole drain"
    if known.after_settling is not None:
        needed = f"min-wait, quiet, and {MARGIN:g} x {p} from settling on"
    lines = [f"drains of {where}: {ended}", "", *_aligned(head, rows), ""]
    latest = f"{MARGIN:g} x {p} of the last connection"
    default = Policy()
    if not known.is_sure:
        latest = _or_default(latest, advice.min_wait, default.min_wait)
        needed = _or_default(needed, advice.timeout, default.timeout)
    options = [
        ("--min-wait", _option(advice.min_wait), latest),
        ("--timeout", _option(advice.timeout), needed),
        (
            "terminationGracePeriodSeconds:",
            "?" if advice.grace_period is None else str(advice.grace_period),
            "the timeout, the hook's start, nginx's end",
        ),
    ]  # fmt: skip
    lines += [*_aligned(("ADVICE", "", "WHY"), options), "", _how_sure(known)]
    return "\n".join([*lines, *(f"\n{note}" for note in advice.notes)])


def _or_default(why: str, seconds: float | None, default: float) -> str:
    return "the default: too few busy drains for less" if seconds == default else why


def _how_sure(known: Evidence) -> str:
    if known.busy is None:
        return "how sure: unknown"
    return f"how sure: {known.confidence:.0%}, by {known.busy} drains with {BUSY} arrivals or more"


def _aligned(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with columns as wide as their widest cell."""
    cells = [head, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _seconds(one: Distribution, share: float) -> str:
    if not one.count:
        return "-"
    seconds = one.percentile(share)
    return "beyond" if seconds == inf else f"{seconds:.1f}"


def _option(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds:g}s"
