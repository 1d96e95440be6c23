"""The daemon's answers as tables: pods, drains, connections. Pure.

What comes from a pod goes into cells as plain text: a name is never markup, and no control
character reaches the terminal.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

Answer = Mapping[str, Any]
"""A JSON object of the daemon's."""

NARROW = 6
"""Columns that a figure or a name gets at the least."""

_RESULT_STYLES = {
    "drained": "green",
    "deadline": "bold red",
    "cut": "bold red",
    "failed": "bold red",
}


def plain(value: object, style: str = "") -> Text:
    """One cell."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return Text(text, style)


def _table(*columns: str, right: Iterable[str] = (), elastic: Iterable[str] = ()) -> Table:
    """Where the terminal is narrow, `elastic` columns give way; figures are shown whole."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=None if column in elastic else max(NARROW, len(column)),
        )
    return table


def states(by_state: Mapping[str, int]) -> str:
    """`ESTABLISHED 2, FIN_WAIT1 1`, or a dash."""
    return ", ".join(f"{state} {count}" for state, count in by_state.items()) or "-"


def pods_table(pods: Iterable[Answer], rates: Mapping[str, float] | None = None) -> Table:
    """One row a pod; with `rates`, passive opens per second by pod, a column of them, else how its
    hooks reach the daemon, as far as daemons say so."""
    pods = list(pods)
    speed = ("OPENS/S",) if rates is not None else ()
    ways = ("WAYS IN",) if rates is None and any(pod.get("ways_in") for pod in pods) else ()
    table = _table(
        "POD", "PORTS", "IN FLIGHT", *speed, "ACCEPTED", "STATES", *ways,
        right=("IN FLIGHT", "OPENS/S", "ACCEPTED"),
        elastic=("PORTS", "STATES", "WAYS IN"),
    )  # fmt: skip
    for pod in pods:
        cells = [
            plain(pod["pod"]),
            plain(",".join(map(str, pod["ports"])) or "-"),
            plain(pod["in_flight"], "bold" if pod["in_flight"] else ""),
        ]
        if rates is not None:
            cells.append(plain(f"{rates.get(pod['pod'], 0.0):.1f}"))
        cells += [plain(pod["accepted"]), plain(states(pod["by_state"]))]
        if ways:
            cells.append(plain(", ".join(pod.get("ways_in", ())) or "-"))
        table.add_row(*cells)
    return table


def drains_table(drains: Iterable[Answer]) -> Table:
    """One row a drain: when it began (local time), how long it took, how it went."""
    table = _table(
        "DRAIN OF", "BEGAN", "SECONDS", "RESULT", "PEAK", "LEFT", "ARRIVALS", "LAST ARRIVAL",
        right=("SECONDS", "PEAK", "LEFT", "ARRIVALS", "LAST ARRIVAL"),
        elastic=("DRAIN OF", "BEGAN"),
    )  # fmt: skip
    for drain in drains:
        result = drain.get("result")
        last = drain.get("last_arrival")
        table.add_row(
            plain(drain["pod"]),
            plain(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(drain["started"]))),
            plain(f"{drain['seconds']:.1f}"),
            plain(result or current_phase(drain), _RESULT_STYLES.get(result or "", "yellow")),
            plain(drain.get("peak_in_flight", "-")),
            plain(drain.get("in_flight", "-")),
            plain(drain.get("arrivals", "-")),
            plain("-" if last is None else f"{last:.1f}"),
        )
    return table


def current_phase(drain: Answer) -> str:
    """Where a drain is that has not ended."""
    phases = drain.get("phases") or [("settling", 0.0)]
    return str(phases[-1][0])


def connections_table(connections: Iterable[Answer]) -> Table:
    """One row a connection; times in seconds, a dash for what nobody knows."""
    table = _table(
        "REMOTE", "LOCAL", "STATE", "AGE", "IDLE", "RECEIVED", "UNSENT", "STANDING",
        right=("AGE", "IDLE", "RECEIVED", "UNSENT"),
        elastic=("LOCAL",),
    )  # fmt: skip
    for one in connections:
        received = one["bytes_received"]
        table.add_row(
            plain(one["remote"]),
            plain(one["local"]),
            plain(one["state"]),
            plain(_seconds(one["age"])),
            plain(_seconds(one["idle"])),
            plain("-" if received is None else received),
            plain(one["unsent"], "bold" if one["unsent"] else ""),
            plain(one["standing"], "" if one["in_flight"] else "dim"),
        )
    return table


def _seconds(time: float | None) -> str:
    return "-" if time is None else f"{time:.1f}"
