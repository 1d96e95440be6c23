"""What each target of the Makefile installs: a newcomer's `make demo` takes only what it needs."""

import re
import subprocess

import pytest

from tests.cluster.manifests import ROOT

FOR_TESTS_ONLY = {
    "python3-bpfcc",
    "chromium-headless-shell",
    "podman",
    "mmdebstrap",
    "clang-format",
}


def would_run(target: str) -> str:
    """The commands of a target and all it needs, as if nothing were there."""
    argv = ["make", "--dry-run", "--always-make", "--no-print-directory", "-C", str(ROOT), target]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def packages(commands: str) -> set[str]:
    """Debian's."""
    lists = re.findall(r"for package in ([^;]+);", commands)
    return {name for names in lists for name in names.split()}


@pytest.mark.parametrize("target", ["demo", "build"])
def test_nothing_that_only_tests_need(target: str) -> None:
    commands = would_run(target)
    installed = packages(commands)
    assert "clang" in installed
    assert not installed & FOR_TESTS_ONLY
    assert not [name for name in installed if name.startswith("linux-headers")]
    assert '"dev"' not in commands


def test_the_demo_takes_no_npm() -> None:
    assert "npm" not in would_run("demo")
    assert "npm" in would_run("build")


@pytest.mark.parametrize("target", ["test", "lint", "bench-procfs"])
def test_tests_have_all_of_it(target: str) -> None:
    assert packages(would_run(target)) >= FOR_TESTS_ONLY
