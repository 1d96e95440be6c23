"""Both programs on the tracepoint, as on kernels that can preempt tracing programs."""

import pytest

from bench.rig.netns import Netns
from drainmon.kernel import programs
from tests.kernel.pair import Pair
from tests.kernel.probe import Probe
from tests.waiting import eventually

pytestmark = pytest.mark.root


@pytest.fixture
def preemptible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "can_be_preempted", lambda _lib: True)


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
