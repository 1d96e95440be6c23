"""The command line: usage, errors, tables."""

import subprocess
import sys
from pathlib import Path

import pytest

from drainmon.cli import daemon, main, uncounted
from drainmon.drain.duration import parse_duration
from drainmon.model.ignored import NOTHING, Ignored
from drainmon.server.listen import Address
from drainmon.sources.base import PROBE_PROCESSES


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
    ],
)
def test_usage_is_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main.main(argv)
    assert exit_.value.code == 2
    assert "usage: drainmon" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main.main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith("drainmon 0.")


def test_status_without_a_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.sock"
    assert main.main(["status", "--socket", str(path)]) == 1
    error = capsys.readouterr().err
    assert error == f"drainmon: cannot ask the daemon at {path}: No such file or directory\n"


def test_a_command_does_without_the_daemons_libraries(tmp_path: Path) -> None:
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


def test_by_default_the_daemon_is_for_this_node_alone_and_compares_every_second() -> None:
    arguments = main.make_parser({}).parse_args(["daemon"])
    assert arguments.listen == Address("127.0.0.1", 9935)
    assert arguments.reconcile_interval == 1.0
    assert arguments.socket == Path("/run/drainmon/drainmon.sock")
    assert (arguments.source, arguments.log_level) == ("auto", "info")
    assert arguments.take_over is False


@pytest.mark.parametrize(
    ("text", "seconds"), [("25s", 25), ("1.5s", 1.5), ("500ms", 0.5), ("2m", 120), (".5", 0.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1h", "1 s", "1e3", "nan", "1.s", "\u0661s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_a_bad_level_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRAINMON_LOG_LEVEL", "loud")
    assert main.main(["daemon"]) == 1
    assert "cannot log from level 'loud'" in capsys.readouterr().err


def test_a_service_is_no_option() -> None:
    links = {
        "DRAINMON_IGNORE_PORT": "tcp://10.0.0.1:80",
        "DRAINMON_IGNORE_PEER": "sctp://10.0.0.1:80",
        "DRAINMON_LOG_LEVEL": "udp://10.0.0.1:80",
        "DRAINMON_RECONCILE_INTERVAL": "tcp://[fd00::1]:80",
    }
    seen: list[dict[str, str]] = []
    arguments = main.make_parser({**links, "HTTP_PROXY": "tcp://x", "DRAINMON_LISTEN": "off"})
    parsed = arguments.parse_args(["daemon"])
    assert (parsed.log_level, parsed.reconcile_interval, parsed.listen) == ("info", 1.0, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(daemon, "run", lambda _, environment: seen.append(environment))
        parsed.run(parsed)
    assert seen == [{"HTTP_PROXY": "tcp://x", "DRAINMON_LISTEN": "off"}]


@pytest.mark.parametrize(
    ("environment", "argv", "folder"),
    [
        ({}, [], "/var/log/pods"),
        ({"DRAINMON_POD_LOGS": "/y"}, [], "/y"),
        ({"DRAINMON_POD_LOGS": "/y"}, ["--pod-logs", "/x"], "/x"),
    ],
)
def test_the_daemons_folder_of_names(
    environment: dict[str, str], argv: list[str], folder: str
) -> None:
    arguments = main.make_parser(environment).parse_args(["daemon", *argv])
    assert arguments.pod_logs == Path(folder)


@pytest.mark.parametrize(
    ("argv", "variables", "why"),
    [
        (["--ignore-peer", "10.0.0.0/33"], {}, "cannot ignore the peer '10.0.0.0/33': neither"),
        (["--ignore-port", "http"], {}, "cannot ignore the port 'http': not a number"),
        ([], {"DRAINMON_IGNORE_PEER": "10.0.0.0/8,web"}, "cannot ignore the peer 'web'"),
        ([], {"DRAINMON_IGNORE_PORT": "0"}, "cannot ignore the port '0'"),
        (
            [],
            {"DRAINMON_PROBE_PROCESS": "one-that-is-much-too-long"},
            "cannot look for processes named 'one-that-is-much-too-long': the kernel keeps 15"
            " bytes of a name (try 'one-that-is-muc')",
        ),
    ],
)
def test_what_cannot_be_ignored(
    argv: list[str],
    variables: dict[str, str],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main.main(["daemon", *argv]) == 1
    assert capsys.readouterr().err.startswith(f"drainmon: {why}")


def test_who_holds_no_drain() -> None:
    parser = main.make_parser({})
    assert uncounted.read(parser.parse_args(["daemon"]), {}) == (PROBE_PROCESSES, NOTHING)
    flags = ["--probe-process", "a", "--probe-process", "b", "--ignore-peer", "10.0.0.0/8"]
    given = parser.parse_args(["daemon", *flags, "--ignore-port", "80"])
    variables = {"DRAINMON_PROBE_PROCESS": "x", "DRAINMON_IGNORE_PEER": "::1,10.0.0.1"}
    expected = Ignored.parse(["10.0.0.0/8"], ["80"])
    assert uncounted.read(given, variables) == (("a", "b"), expected)
    names, ignored = uncounted.read(parser.parse_args(["daemon"]), variables)
    assert (names, ignored) == (("x",), Ignored.parse(["::1", "10.0.0.1"]))
    assert uncounted.read(parser.parse_args(["daemon"]), {"DRAINMON_PROBE_PROCESS": ""})[0] == ()
