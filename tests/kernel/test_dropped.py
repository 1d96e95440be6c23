"""Both programs on the tracepoint, as on kernels that can preempt tracing programs."""

import time

import pytest

from bench.rig.netns import Netns
from drainmon.kernel import programs
from drainmon.kernel.btf import Behaviour
from drainmon.kernel.conntrack import Conntrack
from tests.kernel.pair import Pair
from tests.kernel.probe import Probe
from tests.kernel.sourced import SourceScene
from tests.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.core]


@pytest.fixture
def preemptible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "read_behaviour", lambda _path: Behaviour(preemptible=True))


@pytest.mark.usefixtures("preemptible")
def test_two_programs_count_each_change_once(pair: Pair, netns: Netns) -> None:
    probe = Probe(netns)
    try:
        with pair.listen() as listener:
            for _ in range(200):
                for end in pair.connect(listener):
                    end.close()
            assert probe.accepted(netns) == 200
            eventually(lambda: probe.counters(netns) == {})
        assert probe.conntrack.missed() == 0
    finally:
        probe.conntrack.close()


async def test_a_lost_event_counts_as_an_arrival(
    scenes: list[SourceScene], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lost event may have been one: a drain must not become quiet by a loss."""
    core = next(scene for scene in scenes if scene.source.name == "core")
    before = (await core.source.counters(core.pod)).last_accept
    monkeypatch.setattr(Conntrack, "missed", lambda _conntrack: 1)
    began = time.monotonic()
    assert before is not None and before < began
    await core.snapshot()
    last = (await core.source.counters(core.pod)).last_accept
    assert last is not None and began <= last <= time.monotonic()
    await core.snapshot()
    assert (await core.source.counters(core.pod)).last_accept == last
