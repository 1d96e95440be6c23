"""Rows of /proc/net/tcp that the kernel shows twice: at the end of a table that has grown since the
last read it forgets where it was."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from bench.rig.netns import Netns
from drainmon.procfs import net_files
from drainmon.procfs.net_tcp import find_rows
from drainmon.sources.base import Place
from drainmon.sources.look import Look
from drainmon.sources.sightings import Sightings
from tests.kernel.idle_pod import IdlePod
from tests.kernel.pair import PORT

pytestmark = pytest.mark.root


class Crowd:
    """Connections on which nothing is sent, and looks at them, a second apart."""

    def __init__(self, namespace: Netns, stack: ExitStack) -> None:
        self._namespace = namespace
        self._stack = stack
        self._listener = stack.enter_context(namespace.socket())
        self._listener.bind(("127.0.0.1", PORT))
        self._listener.listen(4096)
        pod = stack.enter_context(IdlePod(namespace))
        self._files = stack.enter_context(closing(Place(net_files.open_net(pod.pid)))).files
        self.sightings = Sightings(finished=0.0)

    def connect(self, number: int) -> None:
        for _ in range(number):
            client = self._stack.enter_context(self._namespace.socket())
            client.connect(self._listener.getsockname())
            self._stack.enter_context(self._listener.accept()[0])

    def look(self, coming: int = 0) -> list[bytes]:
        """All rows that were shown, while so many more connections came."""
        now = self.sightings.finished + 1
        look, shown = Look(self.sightings, now), []
        for piece in net_files.read_rows(self._files[1]):
            rows = find_rows(piece, frozenset({PORT}))
            look.add(rows, now)
            shown += rows
            self.connect(coming)
            coming = 0
        self.sightings = look.finish(now)
        return shown


@pytest.fixture
def crowd(netns: Netns) -> Iterator[Crowd]:
    with ExitStack() as stack:
        yield Crowd(netns, stack)


def test_they_are_the_same_connections(crowd: Crowd) -> None:
    crowd.connect(300)
    assert len(crowd.look()) == 301  # the listener
    shown = crowd.look(coming=40)
    assert len(shown) > len(set(shown)) == len(crowd.sightings) + 1


def test_they_are_as_silent_as_before(crowd: Crowd) -> None:
    crowd.connect(300)
    crowd.look(coming=40)
    for _ in range(4):
        shown = crowd.look()
        assert len(shown) == len(crowd.sightings) + 1 == 341
    assert crowd.sightings.tally().never_used == 340
    assert crowd.sightings.tally().in_flight == 0
