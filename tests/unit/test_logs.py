"""The daemon's log: both formats, and the documentation of every event."""

import ast
import io
import json
import logging
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from drainmon.cli import logs, main
from drainmon.drain.report import DrainRecord
from tests.unit.terminal import Terminal

ROOT = Path(__file__).parents[2]
METHODS = {"debug", "info", "warning", "error", "critical", "exception", "log"}
LEVELS = {"exception": "error", "log": "any"}
BY_HAND = {"exception", "said"}
"""Fields that no `extra` in the code names."""


def record(event: str, name: str = "drainmon.daemon.main", **extra: Any) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": name, "levelname": "WARNING", "msg": event, "created": 0.25, "msecs": 250.0}
    )
    made.__dict__.update(extra)
    return made


def test_json_has_an_event_and_its_fields() -> None:
    line = logs.JsonFormatter().format(record("stopping", pods=3, path=Path("/x")))
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "warning",
        "event": "stopping",
        "from": "drainmon.daemon.main",
        "pods": 3,
        "path": "/x",
    }


def test_a_librarys_message_is_not_an_event() -> None:
    line = json.loads(logs.JsonFormatter().format(record("it went wrong", "asyncio")))
    assert (line["event"], line["said"]) == ("library message", "it went wrong")
    assert line["from"] == "asyncio"


def test_text_is_one_line_with_any_field() -> None:
    line = logs.TextFormatter().format(
        record("serving", source="core", pods=2, error="two words\n\033[31m", states={"A": 1})
    )
    assert re.match(r"19[67]\d-\d\d-\d\d \d\d:\d\d:00\.250 ", line)
    assert line[23:] == (
        ' warning serving  source=core  pods=2  error="two words\\n\\u001b[31m"  states={"A": 1}'
    )


def drained(**fields: Any) -> DrainRecord:
    return DrainRecord("shop/web", 1, 1e9, result="drained", seconds=6.21, **fields)


LEFT = {"remote": "192.0.2.1:4000", "state": "ESTABLISHED", "age": 31.0, "idle": None, "unsent": 7}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "0 arrivals"),
        ({"arrivals": 12, "last_arrival": 2.1}, "12 arrivals, the last after 2.1 s"),
        ({"roll": "skipped (why)"}, "0 arrivals, roll skipped (why)"),
        ({"uncounted": ["udp 443"]}, "0 arrivals, not counted: udp 443"),
        ({"in_flight": 2}, "0 arrivals, left: 2 in flight"),
        (
            {"in_flight": 5, "remaining": [LEFT] * 5},
            "0 arrivals, left: " + "192.0.2.1:4000 ESTABLISHED, open 31.0 s, 7 B unsent; " * 3
            + "and 2 more",
        ),
    ],
)  # fmt: skip
def test_text_describes_the_end_of_a_drain(fields: dict[str, Any], said: str) -> None:
    line = logs.TextFormatter().format(record("drain ended", drain=asdict(drained(**fields))))
    assert line.partition("drain ended")[2] == f"  shop/web: drained after 6.2 s, {said}"


def test_a_drains_description_is_one_line() -> None:
    line = logs.TextFormatter().format(
        record("drain ended", drain=asdict(drained(reason="\n\033")))
    )
    assert line.isprintable()


def set_up(
    level: str,
    style: str,
    stream: io.StringIO,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> logging.Logger:
    """A separate root logger, set up."""
    root = logging.Logger("root")
    monkeypatch.setattr(logging, "root", root)
    logs.set_up(level, style, stream, environment)
    return root


@pytest.mark.parametrize(
    ("environment", "stream", "style", "coloured"),
    [
        ({}, Terminal, "text", True),
        ({"NO_COLOR": "", "TERM": "xterm"}, Terminal, "text", True),
        ({"NO_COLOR": "1"}, Terminal, "text", False),
        ({"TERM": "dumb"}, Terminal, "text", False),
        ({}, io.StringIO, "text", False),
        ({}, Terminal, "json", False),
    ],
    ids=["terminal", "NO_COLOR empty", "NO_COLOR", "TERM=dumb", "no terminal", "json"],
)
def test_levels_have_colours_on_a_terminal(
    environment: dict[str, str],
    stream: type[io.StringIO],
    style: str,
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = stream()
    root = set_up("debug", style, shown, environment, monkeypatch)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        root.log(level, "stopping")
    lines = shown.getvalue().splitlines()
    assert len(lines) == 4
    if not coloured:
        assert "\033" not in shown.getvalue()
        return
    assert [line.split(" ", 2)[2].partition("library")[0] for line in lines] == [
        "\033[2mdebug   \033[0m", "info    ", "\033[33mwarning \033[0m", "\033[31merror   \033[0m",
    ]  # fmt: skip


@pytest.mark.parametrize("style", logs.FORMATS)
def test_a_traceback_is_logged(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    root = set_up("error", style, stream, {}, monkeypatch)
    try:
        raise OSError("cannot: why")
    except OSError:
        root.exception("task failed")
    root.info("not shown")
    said = stream.getvalue()
    assert "OSError: cannot: why" in said
    assert "not shown" not in said
    if style == "json":
        assert "Traceback" in json.loads(said)["exception"]


def test_text_is_the_default_on_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(*argv: str, **environment: str) -> str:
        style: str = main.make_parser(environment).parse_args(["daemon", *argv]).log_format
        return style

    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert chosen() == "json"
    assert chosen("--log-format", "text") == "text"
    monkeypatch.setattr("sys.stderr", Terminal())
    assert chosen() == "text"
    assert chosen(DRAINMON_LOG_FORMAT="json") == "json"


class Logged(NamedTuple):
    """A call that logs, in the source."""

    where: str
    event: str
    level: str
    fields: frozenset[str]


def calls() -> list[Logged]:
    """Every call that logs. Fails when an event is not a constant or has arguments."""
    found = []
    for path in sorted(ROOT.glob("drainmon/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(ast.Attribute(ast.Name("log"), method), arguments, keywords) if (
                    method in METHODS
                ):
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    match arguments:
                        case [ast.Constant(str(event))] | [_, ast.Constant(str(event))]:
                            level = LEVELS.get(method, method)
                            fields = _fields(keywords, where)
                            found.append(Logged(where, event, level, fields))
                        case _:
                            pytest.fail(f"{where}: not the name of an event alone")
    return found


def _fields(keywords: list[ast.keyword], where: str) -> frozenset[str]:
    match keywords:
        case []:
            return frozenset()
        case [ast.keyword("extra", ast.Dict(keys))]:
            return frozenset(str(key.value) for key in keys if isinstance(key, ast.Constant))
        case _:
            pytest.fail(f"{where}: its fields cannot be read")


def manual() -> dict[str, tuple[str, str]]:
    """The level and the text on fields of each event in docs/logs.md."""
    lines = (ROOT / "docs/logs.md").read_text().splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("| `")]
    return {row[0].strip(" `"): (row[1].strip(), row[2]) for row in rows}


def test_every_event_is_documented() -> None:
    logged = calls()
    documented = manual()
    assert len(logged) > 10
    assert {call.event for call in logged} | {logs.LIBRARY} == documented.keys()
    for call in logged:
        level, fields = documented[call.event]
        assert level == call.level, call
        assert all(f"`{field}`" in fields for field in call.fields), call


def test_every_documented_field_exists() -> None:
    known: dict[str, set[str]] = {logs.LIBRARY: set(BY_HAND)}
    for call in calls():
        known.setdefault(call.event, set(BY_HAND)).update(call.fields)
    for event, (_, fields) in manual().items():
        documented = {part for part in fields.split("`")[1::2] if part.isidentifier()}
        assert documented <= known[event], event
