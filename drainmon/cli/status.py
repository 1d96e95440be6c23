"""`drainmon status`: the node's pods and the latest drains, as a table."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drainmon.cli import client

LATEST = 10


def show(socket: Path) -> str:
    """The text of both tables. Raises OSError when the daemon does not answer."""
    health = client.get(socket, "/healthz")
    pods = client.get(socket, "/v1/pods")["pods"]
    drains = client.get(socket, "/v1/drains")["drains"][:LATEST]
    lines = [f"source {health['source']}, drainmon {health['version']}", ""]
    lines += table(("POD", "PORTS", "IN FLIGHT", "STATES", "ACCEPTED"), map(_pod_row, pods))
    if drains:
        lines += ["", *table(("DRAIN OF", "BEGAN", "SECONDS", "RESULT"), map(_drain_row, drains))]
    return "\n".join(lines)


def _pod_row(pod: dict[str, Any]) -> Sequence[str]:
    return (
        pod["pod"],
        ",".join(map(str, pod["ports"])) or "-",
        str(pod["in_flight"]),
        " ".join(f"{state} {count}" for state, count in pod["by_state"].items()) or "-",
        str(pod["accepted"]),
    )


def _drain_row(drain: dict[str, Any]) -> Sequence[str]:
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(drain["started"]))
    return (
        drain["pod"],
        began,
        f"{drain['seconds']:.1f}",
        drain["result"] or drain["phases"][-1][0],
    )


def table(head: Sequence[str], rows: Any) -> list[str]:
    """Lines with columns as wide as their widest cell."""
    cells = [head, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
