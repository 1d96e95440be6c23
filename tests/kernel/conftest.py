"""The programs, loaded; a pair of namespaces."""

from collections.abc import Iterator

import pytest

from bench.rig.netns import Netns, link
from tests.kernel.pair import CLIENT, CLIENT6, SERVER, SERVER6, Pair
from tests.kernel.probe import Probe


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
