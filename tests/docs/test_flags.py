"""Flags in documents and manifests exist, and existing flags are documented."""

import argparse
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from drainmon.cli.main import make_parser

ROOT = Path(__file__).parents[2]
OPTIONS = ROOT / "docs" / "options.md"
CLIENT = ROOT / "build" / "drainmon-wait"
NAMING = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "daemonset/**/*.yaml", "daemonset/**/*.service",
                    "daemonset/**/*.conf", "daemonset/**/*.env")
    for path in ROOT.glob(pattern)
)  # fmt: skip

_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
_VARIABLE = re.compile(r"\bDRAINMON_[A-Z_]*[A-Z]\b")
_OTHERS = re.compile(
    r"\b(kubectl|docker|podman|pip|systemctl|journalctl|semanage|apt|apt-get|promtool|python3|git"
    r"|start-stop-daemon|ingress-class|election-id|configmap|nginx-ingress-controller|chromium"
    r"|no-new-privileges|pytest|setpriv|nsenter|unshare|COPY)\b|WITH_BCC|ARGS=|build-arg|system-site"
)
"""Lines about other programs, which have their own flags."""

_CURL = frozenset(
    {"--abstract-unix-socket", "--data", "--max-time", "--retry", "--retry-all-errors",
     "--retry-delay", "--unix-socket"}
)  # fmt: skip


def commands() -> Mapping[str, set[str]]:
    """The flags of each program, by its command line."""
    parser = make_parser({})
    (subparsers,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    found = {
        f"drainmon {name}": {
            option
            for action in command._actions
            for option in action.option_strings
            if option.startswith("--")
        }
        for name, command in subparsers.choices.items()
    }
    text = subprocess.run([CLIENT, "--help"], capture_output=True, text=True, check=True).stdout
    return {**found, "drainmon-wait": set(_FLAG.findall(text))}


def variable(flag: str) -> str:
    return "DRAINMON_" + flag.removeprefix("--").replace("-", "_").upper()


def sections(page: Path) -> Mapping[str, str]:
    """The text below each heading of the second level."""
    parts = re.split(r"^## (.*)$", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


FLAGS = {flag for flags in commands().values() for flag in flags}


@pytest.mark.parametrize("command", commands())
def test_every_flag_is_documented(command: str) -> None:
    text = sections(OPTIONS)
    described = _FLAG.findall(text["Every command"]) + _FLAG.findall(text[command])
    assert commands()[command] - set(described) == set()


@pytest.mark.parametrize("command", commands())
def test_every_documented_flag_exists(command: str) -> None:
    rows = re.findall(r"^\| `(--[a-z-]+)", sections(OPTIONS)[command], re.MULTILINE)
    assert set(rows) <= commands()[command]


def named() -> Iterator[tuple[Path, str]]:
    for path in NAMING:
        for line in path.read_text().splitlines():
            if not _OTHERS.search(line):
                yield from ((path, flag) for flag in _FLAG.findall(line))


def test_flags_named_in_documents_exist() -> None:
    assert {f"{path.name}: {flag}" for path, flag in named() if flag not in FLAGS | _CURL} == set()


def test_variables_named_in_documents_exist() -> None:
    known = {variable(flag) for flag in FLAGS}
    assert {
        f"{path.name}: {name}"
        for path in NAMING
        for name in _VARIABLE.findall(path.read_text())
        if name not in known
    } == set()


def test_the_manifests_options_are_flags_of_the_daemon() -> None:
    text = (ROOT / "daemonset/base/options.env").read_text()
    daemon = {variable(flag) for flag in commands()["drainmon daemon"]}
    assert {line.partition("=")[0] for line in text.splitlines() if line[0] != "#"} <= daemon
