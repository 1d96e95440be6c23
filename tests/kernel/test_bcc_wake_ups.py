"""Whom source bcc wakes: at a new listener and at a change, once for each time that it is asked."""

import contextlib
import socket
from dataclasses import replace

import pytest

from bench.rig.netns import Netns, fresh_netns, link
from drainmon.kernel.bcc_conntrack import ANY_ADDRESS
from drainmon.model.tcp import TcpState
from drainmon.pods.pod import Pod
from drainmon.sources.bcc import BccSource
from tests.kernel.bcc_source import (  # noqa: F401 - fixtures
    LONG,
    MANY,
    NAME,
    NAMES,
    PORT,
    exact,
    listen_once,
    own_pod,
    own_port,
    pod_in,
    soon,
    started_source,
    tell,
    told_nothing,
)
from tests.kernel.named import named
from tests.kernel.pair import SERVER, SERVER6, Pair, ss_states
from tests.kernel.sourced import Told

NEXT_DOOR = "10.78.0.1"
MAP_SIZE = 16384

pytestmark = pytest.mark.root


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("name", NAMES)
async def test_a_new_listener_is_told_once_until_asked_for_again(
    source: BccSource, told: Told, netns: Netns, family: int, name: str
) -> None:
    with named(name):
        for _ in range(3):
            for _ in range(3):
                listen_once(netns, PORT + 1, family)
            await soon(lambda: told.listeners)
            tell(source)
            assert told.listeners == 1
            told.listeners = 0
            source.watch_listeners()


@pytest.mark.parametrize("name", [NAME[:-1], NAME + "x", "x" + NAME[1:], LONG[:14]])
async def test_a_listener_of_another_process_is_not_told(
    source: BccSource, told: Told, netns: Netns, name: str
) -> None:
    listen_once(netns, PORT + 1)
    with named(name):
        listen_once(netns, PORT + 1)
    tell(source)
    assert told.listeners == 0


async def test_listening_in_a_loop_fills_nothing(
    source: BccSource, told: Told, netns: Netns
) -> None:
    with named(NAME):
        for number in range(MANY):  # while the loop does not read
            listen_once(netns, 40000 + number)
    await soon(lambda: told.listeners)
    assert (told.listeners, source.missed()["event"]) == (1, 0)


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
            await ended(pair)
            tell(source)
            assert told.changes == [pod.netns]
            told.changes.clear()
        source.watch(pod)
        source.unwatch(pod)
        with pair.dial(address), listener.accept()[0]:
            pass
        tell(source)
        assert not told.changes


async def ended(pair: Pair) -> None:
    """What was closed at both ends changes no more."""
    await soon(lambda: not {"FIN_WAIT1", "FIN_WAIT2"} & ss_states(pair.server, PORT).keys())


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
    for number in range(MANY):  # while the loop does not read
        source._conntrack.watch(ANY_ADDRESS, 40000 + number)
        listen_once(netns, 40000 + number)
    assert source.missed()["event"] > 0
    for number in range(1, MAP_SIZE - MANY):  # one is for new listeners
        source._conntrack.watch(number.to_bytes(16), PORT)
    source.watch(pod)
    assert source.missed()["watch"] > 0
    source.unwatch(pod)
