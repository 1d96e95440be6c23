"""Packages that each target of the Makefile installs: a newcomer's `make demo` installs only what
it needs."""

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
    """The commands of a target and its prerequisites, as if nothing were installed."""
    argv = ["make", "--dry-run", "--always-make", "--no-print-directory", "-C", str(ROOT), target]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def packages(commands: str) -> set[str]:
    """The Debian packages that the commands install."""
    lists = re.findall(r"for package in ([^;]+);", commands)
    return {name for names in lists for name in names.split()}


@pytest.mark.parametrize("target", ["demo", "build"])
def test_demo_and_build_install_no_packages_for_tests(target: str) -> None:
    commands = would_run(target)
    installed = packages(commands)
    assert "clang" in installed
    assert not installed & FOR_TESTS_ONLY
    assert not [name for name in installed if name.startswith("linux-headers")]
    assert '"dev"' not in commands


def test_demo_does_not_install_npm() -> None:
    assert "npm" not in would_run("demo")
    assert "npm" in would_run("build")


@pytest.mark.parametrize("target", ["test", "lint", "bench-procfs"])
def test_test_targets_install_every_package_for_tests(target: str) -> None:
    assert packages(would_run(target)) >= FOR_TESTS_ONLY
