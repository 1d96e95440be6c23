"""Fixtures for every folder of tests."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.rig.netns import Netns, fresh_netns

WAIT = 10.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `root` skip where they cannot run, and say why."""
    why = _why_not()
    for item in items:
        if why and item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason=why))


def _why_not() -> str:
    if os.geteuid() != 0:
        return "needs root: network namespaces and BPF"
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return "needs a kernel with BTF"
    if not (shutil.which("nginx") and shutil.which("ip") and shutil.which("ss")):
        return "needs nginx-light and iproute2"
    return ""


def eventually(condition: Callable[[], object], within: float = WAIT) -> None:
    """Return as soon as the condition holds; fail with what it says last."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"still {value!r} after {within} s"
        time.sleep(0.005)


@pytest.fixture
def netns() -> Iterator[Netns]:
    with fresh_netns() as namespace:
        yield namespace


@pytest.fixture
def other_netns() -> Iterator[Netns]:
    with fresh_netns() as namespace:
        yield namespace
