"""Source bcc on real sockets: wake-ups, new listeners, counts that equal ss, nothing left."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.rig.netns import Netns, fresh_netns, link
from drainmon.kernel import bcc_headers
from drainmon.kernel.conntrack import Conntrack
from drainmon.model.tcp import TcpState
from drainmon.pods.pod import Pod
from drainmon.sources.bcc import STATE_FOLLOWS, BccSource
from drainmon.sources.pace import LEAST
from tests.kernel import pair as pair_module
from tests.kernel.idle_pod import IdlePod
from tests.kernel.pair import SERVER, SERVER6, Pair, reset, ss_states
from tests.kernel.sourced import Told, open_files, until

PORT = 10000 + os.getpid() % 20000
"""Nobody else's on this machine: the program knows no namespace."""

NEXT_DOOR = "10.78.0.1"
MAP_SIZE = 16384

pytestmark = pytest.mark.root


def pod_in(namespace: Netns) -> IdlePod:
    return IdlePod(namespace, namespace.inode, PORT)


async def soon(condition: Callable[[], object]) -> None:
    async def ask() -> object:
        return condition()

    await until(ask)


@pytest.fixture(autouse=True)
def own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_module, "PORT", PORT)


@pytest.fixture
def pod(pair: Pair) -> Iterator[Pod]:
    with pod_in(pair.server) as idle:
        yield idle.pod


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def source(told: Told) -> AsyncIterator[BccSource]:
    source = await started(told)
    yield source
    source.close()


async def started(told: Told) -> BccSource:
    source = BccSource(told)
    await source.start()
    return source


async def states(source: BccSource, pod: Pod) -> dict[str, int]:
    by_state = (await source.counters(pod)).by_state
    return {state.name: count for state, count in by_state.items() if count}


async def exact(source: BccSource, pod: Pod) -> dict[str, int]:
    place = source.open(pod.processes[0].pid)
    try:
        snapshot = await source.snapshot(pod, place)
    finally:
        place.close()
    return {state.name: count for state, count in snapshot.by_state().items()}


async def test_new_listeners_are_told(source: BccSource, told: Told, netns: Netns) -> None:
    with netns.socket() as first, netns.socket(socket.AF_INET6) as second:
        first.bind(("127.0.0.1", PORT + 1))
        second.bind(("::1", PORT + 2))
        await asyncio.sleep(0.02)
        assert not {PORT + 1, PORT + 2} & set(told.ports())
        first.listen()
        second.listen()
        await soon(lambda: {PORT + 1, PORT + 2} <= set(told.ports()))
    assert told.ports().count(PORT + 1) == told.ports().count(PORT + 2) == 1


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("address", [SERVER, SERVER6])
async def test_a_watched_pod_is_woken_once_until_watched_again(
    source: BccSource, told: Told, pair: Pair, pod: Pod, address: str, known: bool
) -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(pair.listen(socket.AF_INET6))
        if known:
            stack.enter_context(pair.dial(address))
            stack.enter_context(listener.accept()[0])
        for _ in range(3):
            source.watch(pod)
            await exact(source, pod)
            assert not told.changes
            with pair.dial(address), listener.accept()[0]:
                await soon(lambda: told.changes == [pod.netns])
            await asyncio.sleep(0.02)
            assert told.changes == [pod.netns]
            told.changes.clear()
        source.watch(pod)
        source.unwatch(pod)
        with pair.dial(address), listener.accept()[0]:
            pass
        await asyncio.sleep(0.02)
        assert not told.changes


async def test_a_neighbour_on_the_same_port_wakes_nobody(
    source: BccSource, told: Told, pair: Pair, pod: Pod
) -> None:
    with fresh_netns() as left, fresh_netns() as right, contextlib.ExitStack() as stack:
        link(left, f"{NEXT_DOOR}/24", right, "10.78.0.2/24")
        neighbour = stack.enter_context(pod_in(left)).pod
        next_door = Pair(left, right)
        listener, its_listener = pair.listen(), next_door.listen()
        for end in (listener, its_listener, pair.dial(), next_door.dial(NEXT_DOOR)):
            stack.enter_context(end)
        for each in (pod, neighbour):
            source.watch(each)
            await exact(source, each)
        with next_door.dial(NEXT_DOOR), its_listener.accept()[0]:
            await soon(lambda: told.changes == [neighbour.netns])
        with pair.dial(), listener.accept()[0]:
            await soon(lambda: told.changes == [neighbour.netns, pod.netns])
        for each in (pod, neighbour):
            source.unwatch(each)


async def test_the_loopback_wakes(source: BccSource, told: Told, pair: Pair, pod: Pod) -> None:
    with pair.listen() as listener, pair.server.socket() as client:
        source.watch(pod)
        client.connect(("127.0.0.1", PORT))
        with listener.accept()[0]:
            await soon(lambda: told.changes)


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


async def agree(source: BccSource, pair: Pair, pod: Pod, **expected: int) -> None:
    """Wait until ss lists what is expected: a snapshot does, too, and soon the counters."""
    await soon(lambda: ss_states(pair.server, PORT) == expected)
    assert await exact(source, pod) == expected
    await until(lambda: shows(source, pod, expected))


async def shows(source: BccSource, pod: Pod, expected: dict[str, int]) -> bool:
    return await states(source, pod) == expected


async def test_counters_are_kept_while_nothing_changes(
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


async def test_the_last_accept_is_when_it_was(source: BccSource, pair: Pair, pod: Pod) -> None:
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
    told: Told, pair: Pair, pod: Pod
) -> None:
    with pair.listen() as listener, pair.dial(), listener.accept()[0]:
        source = await started(told)
        try:
            assert await states(source, pod) == {"ESTABLISHED": 1}
        finally:
            source.close()


async def test_a_pod_whose_processes_are_gone_stays_watched(
    source: BccSource, told: Told, pair: Pair
) -> None:
    with pair.listen() as listener, pair.dial() as client, listener.accept()[0]:
        with pod_in(pair.server) as idle:
            place = source.open(idle.pid)
        gone = replace(idle.pod, processes=())
        source.watch(gone)
        assert (await source.snapshot(gone, place)).by_state() == {TcpState.ESTABLISHED: 1}
        client.close()
        await soon(lambda: told.changes)
        source.unwatch(gone)
        place.close()


async def test_what_is_missed_is_counted(source: BccSource, netns: Netns, pod: Pod) -> None:
    before = source.missed()
    assert before["event"] == before["watch"] == 0
    for number in range(2000):  # while the loop does not read
        with netns.socket() as listener:
            listener.bind(("127.0.0.1", 20000 + number))
            listener.listen()
    assert source.missed()["event"] > 0
    for number in range(1, MAP_SIZE + 1):
        source._conntrack.watch(number.to_bytes(16), PORT)
    source.watch(pod)
    assert source.missed()["watch"] > 0
    source.unwatch(pod)


async def test_nothing_is_left_behind(told: Told, pod: Pod) -> None:
    (await started(told)).close()  # what the first one leaves, it leaves once
    before, programs, home = open_files(), attached(), Path.cwd()
    for _ in range(3):
        source = await started(told)
        assert attached() == programs + 1
        source.watch(pod)
        source.close()
    assert (open_files(), attached(), Path.cwd()) == (before, programs, home)
    assert bcc_headers.VARIABLE not in os.environ


async def test_the_next_source_loads_beside_it(told: Told) -> None:
    """The compiler and the daemon use the same libbpf."""
    for _ in range(2):
        (await started(told)).close()
        Conntrack(lambda *_: None).close()


def attached() -> int:
    """How many BPF programs this process holds: without a holder there is none."""
    held = Path("/proc/self/fd").iterdir()
    return sum("bpf-prog" in str(fd.readlink()) for fd in held if fd.is_symlink())
