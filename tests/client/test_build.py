"""The shipped client: small, static, without an allocator, and of the project's version."""

import os
import subprocess
import tomllib
from pathlib import Path

from tests.client import build
from tests.client.run import run


def test_the_client_is_small_and_static(client: Path) -> None:
    small = 48 if os.uname().machine == "x86_64" else 64  # each instruction of arm64 has 4 bytes
    assert client.stat().st_size < small * 1024
    headers = subprocess.run(
        ["readelf", "-lW", client], check=True, capture_output=True, text=True
    ).stdout
    assert "INTERP" not in headers
    assert "DYNAMIC" not in headers


def test_the_client_uses_neither_malloc_nor_stdio(built: Path) -> None:
    named = build.compile_client(build.NAMED, built / "drainmon-wait-named")
    symbols = subprocess.run(["nm", named], check=True, capture_output=True, text=True).stdout
    names = {line.split()[-1] for line in symbols.splitlines()}
    assert not names & {"malloc", "calloc", "realloc", "free", "printf", "vfprintf", "snprintf"}


def test_the_client_has_the_projects_version(client: Path) -> None:
    project = tomllib.loads((build.ROOT / "pyproject.toml").read_text())["project"]
    shown = run(client, "--version")
    assert (shown.status, shown.output) == (0, f"drainmon-wait {project['version']}\n")
