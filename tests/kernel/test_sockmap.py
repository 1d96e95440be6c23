"""Data that a sockmap carries past TCP is not counted: a connection without counted bytes may be in
use."""

import contextlib
import time

import pytest

from drainmon.kernel.sockmaps import Sockmaps
from drainmon.model.standing import UNUSED_AFTER
from tests.kernel.pair import Pair
from tests.kernel.sockmap import Sockmap
from tests.kernel.sourced import SourceScene, until

pytestmark = pytest.mark.root


async def test_a_connection_in_a_sockmap_is_not_taken_for_unused(
    scenes: list[SourceScene],
) -> None:
    pair = scenes[0].pair
    with pair.listen() as listener, contextlib.ExitStack() as stack:
        client, accepted = map(stack.enter_context, pair.connect(listener))
        stack.enter_context(Sockmap(client, accepted))
        for end in pair.connect(listener):  # never used
            stack.enter_context(end)
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert accepted.recv(100) == b"GET / HTTP/1.1\r\n\r\n"
        port, opened = client.getsockname()[1], time.monotonic()

        async def the_other_is_unused() -> bool:
            """Only core tells the two apart."""
            if time.monotonic() < opened + UNUSED_AFTER:
                return False
            core = [scene for scene in scenes if scene.source.name == "core"]
            return all([(await scene.snapshot()).tally.unused == 1 for scene in core])

        await until(the_other_is_unused)
        for scene in scenes:
            flying = [one.remote_port for one in (await scene.snapshot()).in_flight()]
            assert port in flying


def test_sockmaps_are_detected(pair: Pair) -> None:
    known = Sockmaps()
    if known.exist():
        pytest.skip("needs a machine without sockmaps of its own")
    with pair.listen() as listener, contextlib.ExitStack() as stack:
        client, accepted = map(stack.enter_context, pair.connect(listener))
        with Sockmap(client, accepted):
            assert known.exist()
