"""The commands' tables of the daemon's answers."""

import io
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from drainmon.cli import terminal
from drainmon.cli.absent import why_no_pods
from drainmon.cli.connections import chosen
from drainmon.cli.connections import render as render_connections
from drainmon.cli.drain_tables import drains_tables, remaining_lines
from drainmon.cli.masters import started, with_masters
from drainmon.cli.status import exit_code, render
from drainmon.cli.tables import name_of, plain, pods_table, stages
from tests.unit.fact_tree import plant
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


NAMES = {"web": "web", "idle": "idle"}


def shown(rendered: Any) -> list[str]:
    """The lines that a pipe gets."""
    out = io.StringIO()
    terminal.show(rendered, out)
    return out.getvalue().splitlines()


def test_status_lists_pods_and_running_drains() -> None:
    lines = shown(render({"health": HEALTH, "pods": [POD, IDLE], "drains": [DRAIN]}))
    assert lines[:5] == [
        "source core, drainmon 1",
        "",
        "POD           PORTS   IN FLIGHT  ARRIVALS  STATES",
        "web           80,443          3        12  ESTABLISHED 2, FIN_WAIT1 1",
        "a-longer-one  -               0         0  -",
    ]
    assert lines[6].startswith("RUNNING DRAIN  BEGAN")
    assert lines[7].split()[3:5] == ["6.2", "waiting"]


def test_ways_in_are_shown_if_the_daemon_reports_them() -> None:
    ways = {"ways_in": ["folder (noexec)", "@drainmon"]}
    lines = shown(pods_table([POD | ways, IDLE | {"ways_in": []}]))
    assert lines[0].endswith("STATES                      WAYS IN")
    assert lines[1].endswith("FIN_WAIT1 1  folder (noexec), @drainmon")
    assert lines[2].endswith("-                           -")


def test_a_running_drain_has_a_phase_and_no_result() -> None:
    ended = DRAIN | {"pod": "gone", "result": "deadline"}
    running, row, blank, done, other = shown(drains_tables([ended, DRAIN]))
    assert "PHASE" in running and "RESULT" not in running and row.startswith("web ")
    assert blank == ""
    assert "RESULT" in done and "PHASE" not in done and "deadline" in other


def test_a_drain_is_named_by_the_nginx_of_its_time() -> None:
    pod = CROWDED[2]
    bare = DRAIN | {"pod": pod["pod"], "netns": pod["netns"], "started": 100.0}
    drains = [bare, DRAIN | {"started": 100.0}]
    named = with_masters(drains, [POD, pod], lambda _: 99.0)
    assert [name_of(drain) for drain in named] == ["nginx 1234", "web"]
    later = with_masters(drains, [POD, pod], lambda _: 101.0)  # another pod has the inode by now
    assert [name_of(drain) for drain in later] == ["netns-4026532256", "web"]


def test_the_start_of_a_process_is_found() -> None:
    before = time.time()
    with subprocess.Popen(["sleep", "60"]) as process:
        assert before - 0.1 < started(process.pid) < time.time() + 0.1
        process.kill()
    assert started(process.pid) == pytest.approx(time.time(), abs=5)


def at(columns: int, rendered: Any) -> list[str]:
    """The lines on a terminal with `columns` columns."""
    out = io.StringIO()
    Console(file=out, width=columns).print(rendered)
    return [line.rstrip() for line in out.getvalue().splitlines()]


CROWDED = [
    POD | {"pod": "shop-production/checkout-frontend-7d4b9c5f6-x2x9z", "ways_in": ["folder", "@d"]},
    POD | {"pod": "4f2a9c81d3e7" * 5 + "beef", "ports": [80, 443, 8080, 8443, 9000]},
    POD | {"pod": "netns-4026532256", "netns": 4026532256, "masters": [1234, 1300]},
]


@pytest.mark.parametrize("rates", [None, {}])
@pytest.mark.parametrize("columns", [66, 80, 100, 200])
def test_pods_fit_the_terminal(columns: int, rates: dict[str, float] | None) -> None:
    lines = at(columns, pods_table(CROWDED, rates))
    assert len(lines) == 1 + len(CROWDED)
    assert max(map(len, lines)) <= columns
    for word in ("IN FLIGHT", "ARRIVALS"):
        assert word in lines[0]
    assert "x2x9z " in lines[1]
    assert lines[2].startswith("4f2a9c81d3e7 ") and lines[3].startswith("nginx 1234 ")
    if columns >= 100:
        assert "2 open, 1 closing" in lines[1] or "ESTABLISHED 2" in lines[1]


@pytest.mark.parametrize("columns", [66, 80, 200])
def test_drains_fit_the_terminal(columns: int) -> None:
    now = time.time()
    name = "shop-production/checkout-frontend-7d4b9c5f6-x2x9z"
    drain = DRAIN | {"pod": name, "last_arrival": 2.1, "arrivals": 3, "result": "drained"}
    drains = [drain | {"started": now}, drain | {"started": now - 3 * 86400}]
    head, today, before = at(columns, drains_tables(drains, now))
    assert max(map(len, (head, today, before))) <= columns
    date = time.strftime("%Y-%m-%d", time.localtime(now))
    assert (date in today) == (columns > 80)
    clock = time.strftime("%H:%M:%S", time.localtime(now))
    assert clock in today
    assert (clock in before) == (columns > 80)
    assert today.endswith(" 2.1")


def test_connections_fit_the_terminal() -> None:
    answer = {"total": 1, "connections": [CONNECTION], "listeners": []}
    lines = at(80, render_connections({"web": answer}, {"web": "web"}))
    assert max(map(len, lines)) <= 80
    assert lines[2].startswith("192.0.2.1:40000") and lines[2].endswith("in flight")


def test_states_are_summed_up_in_words() -> None:
    assert stages({"ESTABLISHED": 2, "FIN_WAIT1": 1, "LAST_ACK": 1}) == "2 open, 2 closing"
    assert stages({"SYN_RECV": 1}) == "1 opening"
    assert stages({}) == "-"


def test_remaining_connections_are_shown() -> None:
    left = [CONNECTION | {"age": 31.0}] * 2
    drain = DRAIN | {"result": "deadline", "remaining": left, "in_flight": 3}
    assert shown(remaining_lines([DRAIN, drain], 20))[1:] == [
        f"left of web, {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(0))}:",
        *["  192.0.2.1:40000 FIN_WAIT1, open 31.0 s, idle 0.5 s, 7 B unsent"] * 2,
        "  and 1 more",
    ]


def test_a_pod_is_named_by_name_container_or_master() -> None:
    assert [name_of(pod) for pod in (POD, *CROWDED[1:])] == ["web", "4f2a9c81d3e7", "nginx 1234"]
    ended = {"pod": "netns-4026532256", "netns": 4026532256}
    assert name_of(ended) == "netns-4026532256"


@pytest.mark.parametrize(
    ("processes", "why"),
    [
        ({}, "no process on this node is called nginx"),
        ({1: ("nginx", "nginx: master process /x")}, "1 processes are called nginx, but the"),
        ({2: ("web", "nginx: master process /x"), 3: ("sh", "sh")}, "--process web)"),
    ],
)
def test_an_empty_table_gives_the_reason(
    processes: dict[int, tuple[str, str]], why: str, tmp_path: Path
) -> None:
    for pid, (name, title) in processes.items():
        plant(tmp_path, {f"{pid}/comm": f"{name}\n", f"{pid}/cmdline": title})
    said = why_no_pods(tmp_path)
    assert why in said
    node = {"health": HEALTH, "pods": [], "drains": [], "empty": said}
    assert shown(render(node))[2] == said


def test_a_degraded_source_is_shown_with_its_reason() -> None:
    health = HEALTH | {"status": "degraded", "refused": {"core": "cannot load: no BTF"}}
    lines = shown(render({"health": health, "pods": [], "drains": [], "empty": "none"}))
    assert lines[1] == "not core: cannot load: no BTF"
    assert (exit_code(health), exit_code(HEALTH)) == (3, 0)


def test_output_in_a_pipe_is_neither_cut_nor_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("NO_COLOR", raising=False)
    long = POD | {"pod": "x" * 300}
    assert shown(pods_table([long]))[1].startswith("x" * 300 + "  80,443")


def test_no_color_disables_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for no_color, expected in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_color)
        out = Terminal()
        terminal.show(plain("deadline", "red"), out)
        assert ("\x1b[31m" in out.getvalue()) == expected


def test_escape_sequences_in_names_do_not_reach_the_terminal() -> None:
    hostile = POD | {"pod": "[bold]a\x1b]0;owned\x07\nb[/bold]\u202e"}
    line = shown(pods_table([hostile]))[1]
    assert line.startswith("[bold]a\N{REPLACEMENT CHARACTER}]0;owned")
    assert "\x1b" not in line and "\x07" not in line and "\u202e" not in line


def test_connections_are_listed_with_their_standing() -> None:
    answer = {"total": 2, "connections": [CONNECTION],
              "listeners": [{"port": 80, "unaccepted": 3, "limit": 511}]}  # fmt: skip
    lines = shown(render_connections({"web": answer, "idle": {**answer, "connections": []}}, NAMES))
    assert lines[0] == "web: 2 connections, the first 1 shown, 3 in the accept queue"
    assert lines[2].split() == [
        "192.0.2.1:40000", "192.0.2.2:80", "FIN_WAIT1", "-", "0.5", "100", "7", "in", "flight",
    ]  # fmt: skip
    unknown = CONNECTION | {"idle": None, "bytes_received": None, "standing": "unreachable"}
    line = shown(render_connections({"web": answer | {"connections": [unknown]}}, NAMES))[2]
    assert line.split()[3:] == ["-", "-", "-", "7", "unreachable"]


def test_a_pod_is_chosen_by_an_unambiguous_name() -> None:
    pods = [POD, IDLE, POD | {"pod": "web-2"}]
    assert chosen(pods, None) == pods
    assert chosen(pods, "web") == [POD]
    assert chosen(pods, "longer") == [IDLE]
    assert chosen([*pods, CROWDED[2]], "nginx 1234") == [CROWDED[2]]
    with pytest.raises(OSError, match="several pods are called 'e'"):
        chosen(pods, "e")
    with pytest.raises(OSError, match="no pod is called 'x'; there are: web, a-longer-one, web-2"):
        chosen(pods, "x")
