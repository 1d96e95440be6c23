"""The command line: usage, errors, tables."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from drainmon.cli import main
from drainmon.drain.duration import parse_duration
from drainmon.model.ignored import parse_peer
from drainmon.server.listen import Address


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nonsense"],
        ["status", "x"],
        ["daemon", "--colour"],
        ["daemon", "--log-level", "loud"],
        ["daemon", "--reconcile-interval", "soon"],
        ["daemon", "--reconcile-interval", "0"],
        ["daemon", "--listen", "9935"],
        ["daemon", "--ignore-peer", "10.0.0.0/33"],
    ],
)
def test_wrong_usage_is_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main.main(argv)
    assert exit_.value.code == 2
    known = argv and argv[0] in {"status", "daemon"}
    usage = f"usage: drainmon {argv[0]} [-h]" if known else "usage: drainmon [-h]"
    assert capsys.readouterr().err.startswith(usage)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main.main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith("drainmon 0.")


@pytest.mark.parametrize("command", ["status", "drains", "connections", "advise"])
def test_a_missing_daemon_is_reported_with_the_next_step(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.sock"
    assert main.main([command, "--socket", str(path)]) == 1
    error, hint = capsys.readouterr().err.splitlines()
    assert error == f"drainmon: cannot ask the daemon at {path}: No such file or directory"
    assert "`drainmon daemon` starts the daemon" in hint
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))  # bound, but not listening
        assert main.main([command, "--socket", str(path)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert main.main(["completion", "pods", "--socket", str(path)]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_command_does_not_load_the_daemons_libraries(tmp_path: Path) -> None:
    code = "import sys; from drainmon.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"
    flags = ["status", "--socket", str(tmp_path / "none.sock")]
    done = subprocess.run(
        [sys.executable, "-c", code, *flags], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "drainmon.cli.status" in loaded
    assert not loaded & {"asyncio", "aiohttp", "ctypes", "drainmon.daemon", "drainmon.kernel"}


def test_flags_are_environment_variables_too() -> None:
    parser = main.make_parser({"DRAINMON_SOCKET": "/x", "DRAINMON_LOG_LEVEL": "debug"})
    arguments = parser.parse_args(["daemon"])
    assert (arguments.socket, arguments.log_level) == (Path("/x"), "debug")
    assert parser.parse_args(["daemon", "--socket", "/y"]).socket == Path("/y")


def test_by_default_the_daemon_serves_its_own_node_only() -> None:
    arguments = main.make_parser({}).parse_args(["daemon"])
    assert arguments.listen == Address("127.0.0.1", 9935)
    assert arguments.reconcile_interval == 1.0
    assert arguments.socket == Path("/run/drainmon/drainmon.sock")
    assert (arguments.source, arguments.log_level) == ("auto", "info")
    assert arguments.take_over is False


@pytest.mark.parametrize(
    ("text", "seconds"), [("25s", 25), ("1.5s", 1.5), ("500ms", 0.5), ("2m", 120), (".5", 0.5)]
)
def test_durations_are_parsed(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1h", "1 s", "1e3", "nan", "1.s", "\u0661s"])
def test_a_bad_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("command", "variable", "value", "allowed"),
    [
        ("daemon", "DRAINMON_LOG_LEVEL", "loud", "is not one of debug, info, warning, error"),
        ("daemon", "DRAINMON_LOG_FORMAT", "xml", "is not one of json, text"),
        ("daemon", "DRAINMON_SOURCE", "foo", "is not one of auto, core, bcc, procfs"),
        (
            "daemon",
            "DRAINMON_TAKE_OVER",
            "maybe",
            "is not one of 1, true, yes, on, 0, false, no, off",
        ),
        ("daemon", "DRAINMON_LISTEN", "bad", "not HOST:PORT (try 127.0.0.1:9935, or off)"),
        ("daemon", "DRAINMON_IN_POD_SOCKET", "a b", "at most 107 bytes and no spaces"),
        ("daemon", "DRAINMON_IN_POD_SOCKET", "@web", "the name has no @ here (try web)"),
        ("daemon", "DRAINMON_IN_POD_PORT", "http", "neither from 1 to 65535 nor off"),
        ("daemon", "DRAINMON_RECONCILE_INTERVAL", "soon", "try 25s, 500ms, 2m"),
        ("daemon", "DRAINMON_RECONCILE_INTERVAL", "0", "cannot be zero"),
        ("daemon", "DRAINMON_IGNORE_PEER", "10.0.0.0/8,web", "the peer 'web': neither an address"),
        ("daemon", "DRAINMON_IGNORE_PORT", "0", "the port '0': not a number from 1 to 65535"),
        (
            "daemon",
            "DRAINMON_PROBE_PROCESS",
            "one-that-is-much-too-long",
            "the kernel keeps 15 bytes of a name (try 'one-that-is-muc')",
        ),
        ("check", "DRAINMON_JSON", "ja", "is not one of 1, true, yes, on, 0, false, no, off"),
        ("status", "DRAINMON_WATCH", "always", "is not one of 1, true, yes, on, 0, false, no, off"),
    ],
)
def test_a_bad_variable_is_named(
    command: str, variable: str, value: str, allowed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main.make_parser({variable: value}).parse_args([command])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"usage: drainmon {command} [-h]")
    last = error.splitlines()[-1]
    assert last.startswith(f"drainmon {command}: error: environment variable {variable}: ")
    assert allowed in last and "--" not in last


def test_a_flag_wins_over_its_variable() -> None:
    parser = main.make_parser({"DRAINMON_LISTEN": "bad", "DRAINMON_IGNORE_PORT": "x"})
    parsed = parser.parse_args(["daemon", "--listen", "off", "--ignore-port", "80"])
    assert (parsed.listen, parsed.ignore_port) == (None, [80])


def test_an_empty_variable_counts_as_unset() -> None:
    names = ("SOCKET", "LISTEN", "LOG_FORMAT", "SOURCE", "TAKE_OVER", "PROCESS", "IGNORE_PEER")
    empty = main.make_parser({f"DRAINMON_{name}": "" for name in names}).parse_args(["daemon"])
    unset = main.make_parser({}).parse_args(["daemon"])
    assert vars(empty) == vars(unset)


@pytest.mark.parametrize(("text", "on"), [("1", True), ("YES", True), ("no", False), ("0", False)])
def test_a_switch_can_be_set_in_the_environment(text: str, on: bool) -> None:
    parsed = main.make_parser({"DRAINMON_TAKE_OVER": text}).parse_args(["daemon"])
    assert parsed.take_over is on


def test_variables_of_a_kubernetes_service_are_ignored() -> None:
    links = {
        "DRAINMON_IGNORE_PORT": "tcp://10.0.0.1:80",
        "DRAINMON_IGNORE_PEER": "sctp://10.0.0.1:80",
        "DRAINMON_LOG_LEVEL": "udp://10.0.0.1:80",
        "DRAINMON_TAKE_OVER": "tcp://10.0.0.1:80",
        "DRAINMON_RECONCILE_INTERVAL": "tcp://[fd00::1]:80",
    }
    linked = main.make_parser(links).parse_args(["daemon"])
    assert vars(linked) == vars(main.make_parser({}).parse_args(["daemon"]))


@pytest.mark.parametrize(
    ("environment", "argv", "folder"),
    [
        ({}, [], "/var/log/pods"),
        ({"DRAINMON_POD_LOGS": "/y"}, [], "/y"),
        ({"DRAINMON_POD_LOGS": "/y"}, ["--pod-logs", "/x"], "/x"),
    ],
)
def test_pod_logs_is_read_from_flag_and_variable(
    environment: dict[str, str], argv: list[str], folder: str
) -> None:
    arguments = main.make_parser(environment).parse_args(["daemon", *argv])
    assert arguments.pod_logs == Path(folder)


def test_flags_can_be_repeated_and_take_lists() -> None:
    def read(*argv: str, **variables: str) -> list[list[object] | None]:
        parsed = main.make_parser(variables).parse_args(["daemon", *argv])
        found = (parsed.probe_process, parsed.ignore_peer, parsed.ignore_port)
        return [None if one is None else list(one) for one in found]

    assert read() == [None, [], []]
    given = ["--probe-process", "a", "--probe-process", "b,c", "--ignore-port", "80"]
    variables = {"DRAINMON_PROBE_PROCESS": "x", "DRAINMON_IGNORE_PEER": "::1,10.0.0.1"}
    peers = [parse_peer("::1"), parse_peer("10.0.0.1")]
    assert read(*given, **variables) == [["a", "b", "c"], peers, [80]]
    assert read(**variables) == [["x"], peers, []]
    assert read(DRAINMON_PROBE_PROCESS="")[0] == []
