"""Source bcc alone with a pod on a unique port. Import `own_port`, always; and `own_pod`,
`empty_reports` and `started_source` for the fixtures `pod`, `reports` and `source`."""

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
from tests.kernel.sourced import Reports, until

PORT = 10000 + os.getpid() % 20000
"""Unique on this machine: the program does not read_events namespaces apart."""

NAME = f"web{os.getpid()}"
LONG = f"{os.getpid()} is the long name of a server"
NAMES = (NAME, LONG)
"""Unique names: there may be an nginx on this machine."""

MANY = 2000
"""More events than the buffer holds."""


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


@pytest.fixture(name="reports")
def empty_reports() -> Reports:
    return Reports()


@pytest.fixture(name="source")
async def started_source(reports: Reports) -> AsyncIterator[BccSource]:
    source = await started(reports)
    yield source
    source.close()


async def started(reports: Reports) -> BccSource:
    source = BccSource(reports, NAMES)
    await source.start()
    return source


def read_events(source: BccSource) -> None:
    """Read pending events: an event is recorded before the call that causes it returns."""
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
