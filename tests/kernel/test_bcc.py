"""Source bcc's counts on real sockets equal those of ss, and are read only after a change."""

import asyncio
import time

import pytest

from bench.rig.churn import reset
from drainmon.pods.pod import Pod
from drainmon.sources.bcc import STATE_FOLLOWS, BccSource
from drainmon.sources.pace import LEAST
from tests.kernel.bcc_source import (  # noqa: F401 - fixtures
    PORT,
    empty_reports,
    exact,
    own_pod,
    own_port,
    soon,
    started,
    started_source,
)
from tests.kernel.pair import Pair, ss_states
from tests.kernel.sourced import Reports, until

pytestmark = pytest.mark.root


async def test_counters_follow_every_change(source: BccSource, pair: Pair, pod: Pod) -> None:
    assert await states(source, pod) == {}
    with pair.listen() as listener:
        client, accepted = pair.connect(listener)
        await agree(source, pair, pod, ESTABLISHED=1)
        client.close()
        await agree(source, pair, pod, CLOSE_WAIT=1)
        accepted.close()
        await agree(source, pair, pod)
        client, accepted = pair.connect(listener)
        reset(client)
        await agree(source, pair, pod)
        accepted.close()
        pair.send_syn()
        await soon(lambda: ss_states(pair.server, PORT) == {"SYN_RECV": 1})
        assert await states(source, pod) == {}


async def states(source: BccSource, pod: Pod) -> dict[str, int]:
    by_state = (await source.counters(pod)).by_state
    return {state.name: count for state, count in by_state.items() if count}


async def agree(source: BccSource, pair: Pair, pod: Pod, **expected: int) -> None:
    """Wait until ss lists the expected states; a snapshot must match, and soon the counters."""
    await soon(lambda: ss_states(pair.server, PORT) == expected)
    assert await exact(source, pod) == expected
    await until(lambda: shows(source, pod, expected))


async def shows(source: BccSource, pod: Pod, expected: dict[str, int]) -> bool:
    return await states(source, pod) == expected


async def test_counters_are_not_read_again_without_a_change(
    source: BccSource, pair: Pair, pod: Pod
) -> None:
    with pair.listen() as listener, pair.dial(), listener.accept()[0]:
        await agree(source, pair, pod, ESTABLISHED=1)
        await asyncio.sleep(STATE_FOLLOWS)
        await exact(source, pod)
        kept = await source.counters(pod)
        await asyncio.sleep(2 * LEAST)
        assert await source.counters(pod) is kept
        with pair.dial(), listener.accept()[0]:
            await until(lambda: shows(source, pod, {"ESTABLISHED": 2}))


async def test_the_last_accept_has_its_time(source: BccSource, pair: Pair, pod: Pod) -> None:
    before = await source.counters(pod)
    with pair.listen() as listener:
        began = time.monotonic()
        with pair.dial(), listener.accept()[0]:
            done = time.monotonic()
            await asyncio.sleep(2 * LEAST)
            await until(lambda: shows(source, pod, {"ESTABLISHED": 1}))
        counts = await source.counters(pod)
    assert counts.accepted - before.accepted == 1
    assert counts.last_accept is not None
    assert began <= counts.last_accept <= done


async def test_connections_older_than_the_source_are_counted(
    reports: Reports, pair: Pair, pod: Pod
) -> None:
    with pair.listen() as listener, pair.dial(), listener.accept()[0]:
        source = await started(reports)
        try:
            assert await states(source, pod) == {"ESTABLISHED": 1}
        finally:
            source.close()
