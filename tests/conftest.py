"""Fixtures for every folder of tests."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig.netns import Netns, fresh_netns
from tests import core, files


def pytest_configure() -> None:
    files.raise_limit()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `root` where they cannot run, with a reason."""
    why = _why_not()
    for item in items:
        if why and item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests of source core, before their fixtures, where the kernel cannot run it."""
    if core.needed_by(item) and (why := core.why_not()):
        pytest.skip(why)


def _why_not() -> str:
    if os.geteuid() != 0:
        return "needs root: network namespaces and BPF"
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return "needs a kernel with BTF"
    if not (shutil.which("nginx") and shutil.which("ip") and shutil.which("ss")):
        return "needs nginx-light and iproute2"
    return ""


@pytest.fixture
def netns() -> Iterator[Netns]:
    with fresh_netns() as namespace:
        yield namespace


@pytest.fixture
def other_netns() -> Iterator[Netns]:
    with fresh_netns() as namespace:
        yield namespace
