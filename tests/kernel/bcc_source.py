"""Source bcc alone at a pod whose port is nobody else's. Import `own_port`, always; and `own_pod`,
`told_nothing` and `started_source` for the fixtures `pod`, `told` and `source`."""

import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from bench.rig.netns import Netns
from drainmon.pods.pod import Pod
from drainmon.sources.bcc import BccSource
from tests.kernel import pair as pair_module
from tests.kernel.idle_pod import IdlePod
from tests.kernel.pair import Pair
from tests.kernel.sourced import Told, until

PORT = 10000 + os.getpid() % 20000
"""Nobody else's on this machine: the program knows no namespace."""

NAME = f"web{os.getpid()}"
LONG = f"{os.getpid()} is the long name of a server"
NAMES = (NAME, LONG)
"""No other process has them: there may be an nginx on this machine."""

MANY = 2000
"""More events than there is room for."""


def pod_in(namespace: Netns) -> IdlePod:
    return IdlePod(namespace, namespace.inode, PORT)


async def soon(condition: Callable[[], object]) -> None:
    async def ask() -> object:
        return condition()

    await until(ask)


@pytest.fixture(autouse=True)
def own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_module, "PORT", PORT)


@pytest.fixture(name="pod")
def own_pod(pair: Pair) -> Iterator[Pod]:
    with pod_in(pair.server) as idle:
        yield idle.pod


@pytest.fixture(name="told")
def told_nothing() -> Told:
    return Told()


@pytest.fixture(name="source")
async def started_source(told: Told) -> AsyncIterator[BccSource]:
    source = await started(told)
    yield source
    source.close()


async def started(told: Told) -> BccSource:
    source = BccSource(told, NAMES)
    await source.start()
    return source


def tell(source: BccSource) -> None:
    """Have it tell what has happened: an event is there once the call that causes it returns."""
    source._conntrack.consume_events()


def listen_once(namespace: Netns, port: int, family: int = socket.AF_INET) -> None:
    with namespace.socket(family) as listener:
        listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        listener.listen()


async def exact(source: BccSource, pod: Pod) -> dict[str, int]:
    place = source.open(pod.processes[0].pid)
    try:
        snapshot = await source.snapshot(pod, place)
    finally:
        place.close()
    return {state.name: count for state, count in snapshot.by_state().items()}
