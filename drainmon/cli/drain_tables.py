"""Drains as tables: running ones with their phase, ended ones with their result. Pure."""

import time
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table

from drainmon.cli.fitted import Fitted, cut, table
from drainmon.cli.sentences import describe_remaining
from drainmon.cli.tables import ARRIVALS, Answer, name_of, plain

_RESULT_STYLES = {
    "drained": "green",
    "deadline": "bold red",
    "cut": "bold red",
    "failed": "bold red",
}


def drains_tables(drains: Iterable[Answer], now: float | None = None) -> RenderableType:
    """A table of running drains above one of ended drains; `now` in Unix seconds."""
    drains = list(drains)
    now = time.time() if now is None else now
    running = [drain for drain in drains if not drain.get("result")]
    ended = [drain for drain in drains if drain.get("result")]
    parts: list[RenderableType] = []
    if running:
        parts.append(_drains_table(running, now, has_ended=False))
    if ended:
        parts += [*([""] if parts else []), _drains_table(ended, now, has_ended=True)]
    return Group(*parts)


def _drains_table(drains: list[Answer], now: float, has_ended: bool) -> Fitted:
    """One row per drain. A narrow terminal shows times without dates, then no peak."""
    names = [name_of(drain) for drain in drains]

    def make(longest: int, short: bool, with_peak: bool) -> Table:
        columns = ["ENDED DRAIN" if has_ended else "RUNNING DRAIN", "BEGAN", "SECONDS"]
        columns += ["RESULT" if has_ended else "PHASE"]
        columns += ["PEAK"] if with_peak else []
        columns += ["LEFT" if has_ended else "IN FLIGHT", ARRIVALS]
        columns += ["LAST" if short else "LAST ARRIVAL"]
        made = table(*columns, right=[c for c in columns[2:] if c not in {"RESULT", "PHASE"}])
        for drain, name in zip(drains, names, strict=True):
            result = drain.get("result")
            last = drain.get("last_arrival")
            cells = [
                plain(cut(name, longest)),
                plain(_when(drain["started"], now, short)),
                plain(f"{drain['seconds']:.1f}"),
                plain(result or current_phase(drain), _RESULT_STYLES.get(result or "", "yellow")),
            ]
            if with_peak:
                cells.append(plain(drain.get("peak_in_flight", "-")))
            cells += [plain(drain.get("in_flight", "-")), plain(drain.get("arrivals", "-"))]
            cells.append(plain("-" if last is None else f"{last:.1f}"))
            made.add_row(*cells)
        return made

    return Fitted(
        [
            lambda longest: make(longest, False, True),
            lambda longest: make(longest, True, True),
            lambda longest: make(longest, True, False),
        ],
        max(map(len, names), default=0),
    )


def _when(started: float, now: float, short: bool) -> str:
    """Local time; short: the time of today, the date of another day."""
    then, today = time.localtime(started), time.localtime(now)
    if not short:
        return time.strftime("%Y-%m-%d %H:%M:%S", then)
    return time.strftime("%H:%M:%S" if then[:3] == today[:3] else "%Y-%m-%d", then)


def current_phase(drain: Answer) -> str:
    """The phase of a running drain."""
    phases = drain.get("phases") or [("settling", 0.0)]
    return str(phases[-1][0])


def remaining_lines(drains: Iterable[Answer], named: int) -> RenderableType:
    """The connections that remained at the end of each drain; at most `named` of each."""
    parts: list[RenderableType] = []
    for drain in drains:
        if drain.get("remaining"):
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(drain["started"]))
            parts += ["", plain(f"left of {name_of(drain)}, {when}:", "bold")]
            parts += [plain(f"  {one}") for one in describe_remaining(drain, named).split("; ")]
    return Group(*parts)
