"""The programs, loaded; a pair of namespaces; each source in turn, and a pod."""

from collections.abc import AsyncIterator, Iterator

import pytest

from bench.rig.netns import Netns, link
from drainmon.sources.choice import SOURCES, start_first
from tests.kernel.idle_pod import IdlePod
from tests.kernel.pair import CLIENT, CLIENT6, SERVER, SERVER6, Pair
from tests.kernel.probe import Probe
from tests.kernel.sourced import SourceScene, Told


@pytest.fixture
def probe() -> Iterator[Probe]:
    probe = Probe()
    yield probe
    probe.conntrack.close()


@pytest.fixture
def pair(netns: Netns, other_netns: Netns) -> Pair:
    link(netns, f"{SERVER}/24", other_netns, f"{CLIENT}/24")
    link(netns, f"{SERVER6}/64", other_netns, f"{CLIENT6}/64")
    return Pair(netns, other_netns)


@pytest.fixture(params=SOURCES)
async def scene(request: pytest.FixtureRequest, pair: Pair) -> AsyncIterator[SourceScene]:
    told = Told()
    source, _ = await start_first([request.param], told)
    try:
        with IdlePod(pair.server) as idle:
            scene = SourceScene(source, told, pair, idle)
            yield scene
            scene.place.close()
    finally:
        source.close()
