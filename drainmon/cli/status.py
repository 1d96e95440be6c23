"""`drainmon status`: the node's pods and latest drains; `drainmon drains`: all recorded drains."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from drainmon.cli import client, terminal
from drainmon.cli.absent import why_no_pods
from drainmon.cli.drain_tables import drains_tables, remaining_lines
from drainmon.cli.masters import with_masters
from drainmon.cli.tables import plain, pods_table

LATEST = 10
REMAINING_NAMED = 20
EVERY = 1.0
"""Seconds between two requests."""

DEGRADED = 3
"""The exit code when the daemon uses a worse source than the best."""


def read(socket: Path) -> dict[str, Any]:
    """The answers `health`, `pods` and `drains`; without pods `empty` says why. Raises OSError when
    the daemon does not answer."""
    node = {
        "health": client.get(socket, "/healthz"),
        "pods": client.get(socket, "/v1/pods")["pods"],
        "drains": client.get(socket, "/v1/drains")["drains"],
    }
    return node if node["pods"] else node | {"empty": why_no_pods()}


def read_named(socket: Path) -> dict[str, Any]:
    """The same, with nginx's masters in drains whose pod is called by them."""
    node = read(socket)
    return node | {"drains": with_masters(node["drains"], node["pods"])}


def headline(health: dict[str, Any]) -> Text:
    """Source, version, and why better sources are not in use."""
    line = plain(f"source {health['source']}, drainmon {health['version']}")
    for source, why in health.get("refused", {}).items():
        line.append("\n").append(plain(f"not {source}: {why}", "yellow"))
    return line


def render(node: dict[str, Any]) -> RenderableType:
    """The screen of `drainmon status`."""
    parts: list[RenderableType] = [headline(node["health"]), "", pods(node)]
    if node["drains"]:
        parts += ["", drains_tables(node["drains"][:LATEST])]
    return Group(*parts)


def pods(node: dict[str, Any]) -> RenderableType:
    """The table of pods, or why it is empty."""
    return pods_table(node["pods"]) if node["pods"] else plain(node["empty"])


def exit_code(health: dict[str, Any]) -> int:
    return 0 if health["status"] == "ok" else DEGRADED


def status(socket: Path, as_json: bool, watch: bool) -> int:
    """Show the node once, or every second until interrupted."""
    look = read if as_json else read_named
    if not watch:
        node = look(socket)
        _put(node, as_json)
        return exit_code(node["health"])
    if as_json or not sys.stdout.isatty():
        while True:
            _put(look(socket), as_json)
            time.sleep(EVERY)
    with Live(render(look(socket)), console=terminal.console(), screen=True) as live:
        while True:
            time.sleep(EVERY)
            try:
                shown = render(look(socket))
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
    """Show all records that the daemon keeps, and the connections that remained."""
    records = client.get(socket, "/v1/drains")["drains"]
    if as_json:
        sys.stdout.write(json.dumps(records) + "\n")
    elif records:
        named = with_masters(records, client.get(socket, "/v1/pods")["pods"])
        terminal.show(Group(drains_tables(named), remaining_lines(named, REMAINING_NAMED)))
    else:
        terminal.show(plain("no drains: no client has asked for one since the daemon started"))
    return 0
