"""What the commands show of the daemon's answers."""

import io
from typing import Any

import pytest

from drainmon.cli import terminal
from drainmon.cli.connections import chosen
from drainmon.cli.connections import render as render_connections
from drainmon.cli.status import exit_code, render
from drainmon.cli.tables import plain, pods_table
from tests.unit.terminal import Terminal

POD: dict[str, Any] = {
    "pod": "web",
    "number": 1,
    "ports": [80, 443],
    "in_flight": 3,
    "by_state": {"ESTABLISHED": 2, "FIN_WAIT1": 1},
    "accepted": 12,
}
IDLE: dict[str, Any] = POD | {
    "pod": "a-longer-one", "number": 2, "ports": [], "in_flight": 0, "by_state": {}, "accepted": 0,
}  # fmt: skip
DRAIN = {"pod": "web", "started": 0, "seconds": 6.25, "result": None, "peak_in_flight": 4,
         "phases": [["settling", 0], ["waiting", 5]]}  # fmt: skip
HEALTH = {"status": "ok", "source": "core", "version": "1", "refused": {}}
CONNECTION = {
    "remote": "192.0.2.1:40000", "local": "192.0.2.2:80", "state": "FIN_WAIT1", "age": None,
    "idle": 0.5, "unsent": 7, "bytes_received": 100, "in_flight": True,
    "standing": "in flight",
}  # fmt: skip


def shown(rendered: Any) -> list[str]:
    """As a pipe gets it."""
    out = io.StringIO()
    terminal.show(rendered, out)
    return out.getvalue().splitlines()


def test_status() -> None:
    lines = shown(render({"health": HEALTH, "pods": [POD, IDLE], "drains": [DRAIN]}))
    assert lines[:5] == [
        "source core, drainmon 1",
        "",
        "POD           PORTS   IN FLIGHT  ACCEPTED  STATES",
        "web           80,443          3        12  ESTABLISHED 2, FIN_WAIT1 1",
        "a-longer-one  -               0         0  -",
    ]
    assert lines[6].startswith("DRAIN OF  BEGAN")
    assert lines[7].split()[3:5] == ["6.2", "waiting"]


def test_the_ways_in_where_the_daemon_tells_them() -> None:
    ways = {"ways_in": ["folder (noexec)", "@drainmon"]}
    lines = shown(pods_table([POD | ways, IDLE | {"ways_in": []}]))
    assert lines[0].endswith("STATES                      WAYS IN")
    assert lines[1].endswith("FIN_WAIT1 1  folder (noexec), @drainmon")
    assert lines[2].endswith("-                           -")


def test_a_lesser_source_is_told_with_its_reason() -> None:
    health = HEALTH | {"status": "degraded", "refused": {"core": "cannot load: no BTF"}}
    lines = shown(render({"health": health, "pods": [], "drains": []}))
    assert lines[1] == "not core: cannot load: no BTF"
    assert (exit_code(health), exit_code(HEALTH)) == (3, 0)


def test_nothing_is_cut_in_a_pipe_and_nothing_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("NO_COLOR", raising=False)
    long = POD | {"pod": "x" * 300}
    assert shown(pods_table([long]))[1].startswith("x" * 300 + "  80,443")


def test_colours_on_a_terminal_unless_they_are_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for no_color, expected in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_color)
        out = Terminal()
        terminal.show(plain("deadline", "red"), out)
        assert ("\x1b[31m" in out.getvalue()) == expected


def test_what_a_pod_is_called_does_not_reach_the_terminal_as_commands() -> None:
    hostile = POD | {"pod": "[bold]a\x1b]0;owned\x07\nb[/bold]\u202e"}
    line = shown(pods_table([hostile]))[1]
    assert line.startswith("[bold]a\N{REPLACEMENT CHARACTER}]0;owned")
    assert "\x1b" not in line and "\x07" not in line and "\u202e" not in line


def test_connections() -> None:
    answer = {"total": 2, "connections": [CONNECTION],
              "listeners": [{"port": 80, "unaccepted": 3, "limit": 511}]}  # fmt: skip
    lines = shown(render_connections({"web": answer, "idle": {**answer, "connections": []}}))
    assert lines[0] == "web: 2 connections, the first 1 shown, 3 in the accept queue"
    assert lines[2].split() == [
        "192.0.2.1:40000", "192.0.2.2:80", "FIN_WAIT1", "-", "0.5", "100", "7", "in", "flight",
    ]  # fmt: skip
    unknown = CONNECTION | {"idle": None, "bytes_received": None, "standing": "unreachable"}
    line = shown(render_connections({"web": answer | {"connections": [unknown]}}))[2]
    assert line.split()[3:] == ["-", "-", "-", "7", "unreachable"]
    assert shown(render_connections({})) == ["no pods"]


def test_a_pod_is_chosen_by_what_is_its_own() -> None:
    pods = [POD, IDLE, POD | {"pod": "web-2"}]
    assert chosen(pods, None) == pods
    assert chosen(pods, "web") == [POD]
    assert chosen(pods, "longer") == [IDLE]
    with pytest.raises(OSError, match="several pods are called 'e'"):
        chosen(pods, "e")
    with pytest.raises(OSError, match="no pod is called 'x'; there are: web, a-longer-one, web-2"):
        chosen(pods, "x")
