"""The loaded programs; a pair of namespaces; each source in turn with a pod."""

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from bench.rig.netns import Netns, link
from drainmon.sources.base import Listeners, Source
from drainmon.sources.choice import MAKERS, start_first
from drainmon.sources.procfs import ProcfsSource
from tests import core
from tests.kernel.idle_pod import IdlePod
from tests.kernel.pair import CLIENT, CLIENT6, SERVER, SERVER6, Pair
from tests.kernel.probe import Probe
from tests.kernel.sourced import Reports, SourceScene


@pytest.fixture
def probe(netns: Netns) -> Iterator[Probe]:
    """The programs, counting on PORT of the server's namespace."""
    probe = Probe(netns)
    yield probe
    probe.conntrack.close()


@pytest.fixture
def pair(netns: Netns, other_netns: Netns) -> Pair:
    link(netns, f"{SERVER}/24", other_netns, f"{CLIENT}/24")
    link(netns, f"{SERVER6}/64", other_netns, f"{CLIENT6}/64")
    return Pair(netns, other_netns)


ROWS = "procfs without sock_diag"


def _by_rows(listeners: Listeners) -> Source:
    return ProcfsSource(listeners, by_diag=False)


EVERY = [*MAKERS, ROWS]


@contextlib.asynccontextmanager
async def _scene(name: str, pair: Pair, idle: IdlePod) -> AsyncIterator[SourceScene]:
    reports = Reports()
    source, _ = await start_first([name], reports, {**MAKERS, ROWS: _by_rows})
    try:
        scene = SourceScene(source, reports, pair, idle, knows_use=name != ROWS)
        source.follow([scene.pod])
        yield scene
        scene.place.close()
    finally:
        source.close()


@pytest.fixture(params=EVERY)
async def scene(request: pytest.FixtureRequest, pair: Pair) -> AsyncIterator[SourceScene]:
    with IdlePod(pair.server) as idle:
        async with _scene(request.param, pair, idle) as scene:
            yield scene


@pytest.fixture
async def scenes(pair: Pair) -> AsyncIterator[list[SourceScene]]:
    """Every source with the same pod, for tests that wait for seconds."""
    async with contextlib.AsyncExitStack() as stack:
        idle = stack.enter_context(IdlePod(pair.server))
        names = core.able(EVERY)
        yield [await stack.enter_async_context(_scene(name, pair, idle)) for name in names]
