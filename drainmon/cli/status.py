"""`drainmon status`: the node's pods and the latest drains; `drainmon drains`: all of those."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from drainmon.cli import client, terminal
from drainmon.cli.tables import drains_table, plain, pods_table

LATEST = 10
EVERY = 1.0
"""Seconds between two readings."""

DEGRADED = 3
"""The exit code when the daemon works, but not with the best source."""


def read(socket: Path) -> dict[str, Any]:
    """`health`, `pods` and `drains`. Raises OSError when the daemon does not answer."""
    return {
        "health": client.get(socket, "/healthz"),
        "pods": client.get(socket, "/v1/pods")["pods"],
        "drains": client.get(socket, "/v1/drains")["drains"],
    }


def headline(health: dict[str, Any]) -> Text:
    """Source, version, and what is wrong."""
    line = plain(f"source {health['source']}, drainmon {health['version']}")
    for source, why in health.get("refused", {}).items():
        line.append("\n").append(plain(f"not {source}: {why}", "yellow"))
    return line


def render(node: dict[str, Any]) -> RenderableType:
    """Both tables."""
    parts: list[RenderableType] = [headline(node["health"]), "", pods_table(node["pods"])]
    if node["drains"]:
        parts += ["", drains_table(node["drains"][:LATEST])]
    return Group(*parts)


def exit_code(health: dict[str, Any]) -> int:
    return 0 if health["status"] == "ok" else DEGRADED


def status(socket: Path, as_json: bool, watch: bool) -> int:
    """Show the node once, or every second until interrupted."""
    if not watch:
        node = read(socket)
        _put(node, as_json)
        return exit_code(node["health"])
    if as_json or not sys.stdout.isatty():
        while True:
            _put(read(socket), as_json)
            time.sleep(EVERY)
    with Live(render(read(socket)), console=terminal.console(), screen=True) as live:
        while True:
            time.sleep(EVERY)
            try:
                shown = render(read(socket))
            except OSError as error:  # it may be restarting
                shown = plain(error, "bold red")
            live.update(shown, refresh=True)


def _put(node: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(node) + "\n")
        sys.stdout.flush()
    else:
        terminal.show(render(node))


def drains(socket: Path, as_json: bool) -> int:
    """Show the records of all drains that the daemon keeps."""
    records = client.get(socket, "/v1/drains")["drains"]
    if as_json:
        sys.stdout.write(json.dumps(records) + "\n")
    else:
        terminal.show(drains_table(records))
    return 0
