"""A daemon on this host, both nginx versions, pods and clients."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig import nginx as nginx_binaries
from bench.rig.netns import Netns, fresh_netns
from bench.rig.pod import FakePod
from tests.e2e.harness import Daemon, MakePod, daemon_in


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon_in(tmp_path_factory.mktemp("daemon")) as daemon:
        yield daemon


@pytest.fixture(params=nginx_binaries.installed(), ids=lambda path: path.parent.name)
def nginx(request: pytest.FixtureRequest) -> Path:
    binary: Path = request.param
    return binary


@pytest.fixture
def client_netns() -> Iterator[Netns]:
    with fresh_netns("drainmon-client") as namespace:
        yield namespace


@pytest.fixture
def make_pod(client_netns: Netns) -> Iterator[MakePod]:
    with ExitStack() as stack:
        yield lambda **how: stack.enter_context(FakePod(client_netns, **how))
