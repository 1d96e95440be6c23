"""When source bcc wakes its user: on a new listener and on a change, once for each watch."""

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
    empty_reports,
    exact,
    listen_once,
    own_pod,
    own_port,
    pod_in,
    read_events,
    soon,
    started_source,
)
from tests.kernel.named import named
from tests.kernel.pair import SERVER, SERVER6, Pair, ss_states
from tests.kernel.sourced import Reports

NEXT_DOOR = "10.78.0.1"
MAP_SIZE = 16384

pytestmark = pytest.mark.root


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("name", NAMES)
async def test_a_new_listener_is_reported_once_per_watch(
    source: BccSource, reports: Reports, netns: Netns, family: int, name: str
) -> None:
    with named(name):
        for _ in range(3):
            for _ in range(3):
                listen_once(netns, PORT + 1, family)
            await soon(lambda: reports.listeners)
            read_events(source)
            assert reports.listeners == 1
            reports.listeners = 0
            source.watch_listeners()


@pytest.mark.parametrize("name", [NAME[:-1], NAME + "x", "x" + NAME[1:], LONG[:14]])
async def test_a_listener_of_another_process_is_not_reported(
    source: BccSource, reports: Reports, netns: Netns, name: str
) -> None:
    listen_once(netns, PORT + 1)
    with named(name):
        listen_once(netns, PORT + 1)
    read_events(source)
    assert reports.listeners == 0


async def test_listening_in_a_loop_does_not_fill_the_buffer(
    source: BccSource, reports: Reports, netns: Netns
) -> None:
    with named(NAME):
        for number in range(MANY):  # while the loop does not read
            listen_once(netns, 40000 + number)
    await soon(lambda: reports.listeners)
    assert (reports.listeners, source.missed()["event"]) == (1, 0)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("address", [SERVER, SERVER6])
async def test_a_change_wakes_once_per_watch(
    source: BccSource, reports: Reports, pair: Pair, pod: Pod, address: str, known: bool
) -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(pair.listen(socket.AF_INET6))
        if known:
            stack.enter_context(pair.dial(address))
            stack.enter_context(listener.accept()[0])
        for _ in range(3):
            source.watch(pod)
            await exact(source, pod)
            assert not reports.changes
            with pair.dial(address), listener.accept()[0]:
                await soon(lambda: reports.changes == [pod.netns])
            await ended(pair)
            read_events(source)
            assert reports.changes == [pod.netns]
            reports.changes.clear()
        source.watch(pod)
        source.unwatch(pod)
        with pair.dial(address), listener.accept()[0]:
            pass
        read_events(source)
        assert not reports.changes


async def ended(pair: Pair) -> None:
    """A connection that is closed at both ends changes no more."""
    await soon(lambda: not {"FIN_WAIT1", "FIN_WAIT2"} & ss_states(pair.server, PORT).keys())


async def test_another_pods_connections_on_the_same_port_do_not_wake(
    source: BccSource, reports: Reports, pair: Pair, pod: Pod
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
            await soon(lambda: reports.changes == [neighbour.netns])
        with pair.dial(), listener.accept()[0]:
            await soon(lambda: reports.changes == [neighbour.netns, pod.netns])
        for each in (pod, neighbour):
            source.unwatch(each)


async def test_connections_over_the_loopback_wake(
    source: BccSource, reports: Reports, pair: Pair, pod: Pod
) -> None:
    with pair.listen() as listener, pair.server.socket() as client:
        source.watch(pod)
        client.connect(("127.0.0.1", PORT))
        with listener.accept()[0]:
            await soon(lambda: reports.changes)


async def test_a_pod_stays_watched_after_its_processes_have_ended(
    source: BccSource, reports: Reports, pair: Pair
) -> None:
    with pair.listen() as listener, pair.dial() as client, listener.accept()[0]:
        with pod_in(pair.server) as idle:
            place = source.open(idle.pid)
        gone = replace(idle.pod, processes=())
        source.watch(gone)
        assert (await source.snapshot(gone, place)).by_state() == {TcpState.ESTABLISHED: 1}
        client.close()
        await soon(lambda: reports.changes)
        source.unwatch(gone)
        place.close()


async def test_missed_events_and_watches_are_counted(
    source: BccSource, netns: Netns, pod: Pod
) -> None:
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
