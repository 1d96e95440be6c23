"""Data that a sockmap carries past TCP is not counted: a connection without counted bytes may be in
use."""

import contextlib

import pytest

from drainmon.kernel.sockmaps import Sockmaps
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
        port = client.getsockname()[1]

        async def core_has_seen_the_other_for_long_enough() -> bool:
            return (await scenes[0].snapshot()).tally.unused == 1

        await until(core_has_seen_the_other_for_long_enough)
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
