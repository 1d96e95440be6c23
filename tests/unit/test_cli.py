"""The command line: usage, errors, tables."""

from pathlib import Path

import pytest

from drainmon.cli import main
from drainmon.cli.duration import parse_duration


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


def test_flags_are_environment_variables_too() -> None:
    parser = main.make_parser({"DRAINMON_SOCKET": "/x", "DRAINMON_LOG_LEVEL": "debug"})
    arguments = parser.parse_args(["daemon"])
    assert (arguments.socket, arguments.log_level) == (Path("/x"), "debug")
    assert parser.parse_args(["daemon", "--socket", "/y"]).socket == Path("/y")


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
