"""Counts stay correct, and a wrong count neither holds nor ends a drain."""

import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from bench.rig.many import PORTS, many_pods
from bench.rig.maps import DaemonMaps
from bench.rig.netns import Netns, fresh_netns
from bench.rig.orphan import leave_an_orphan
from bench.rig.pod import FakePod
from drainmon.cli.client import get
from drainmon.kernel.wire import PortCounters
from tests import files
from tests.e2e.api import pod_in, record_of
from tests.e2e.connections import Connection
from tests.e2e.harness import Daemon, MakePod, daemon_in, finish, listed, wait_argv
from tests.waiting import eventually

pytestmark = pytest.mark.root

ESTABLISHED = 1
AT_ONCE = 20
"""Pods that start and end together."""
MANY = 4000
"""Connections: as many as are opened during some looks at the count."""
QUICK = {"min_wait": "0.1s", "quiet": "0.1s", "timeout": "20s"}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a short reconcile interval."""
    flags = ["--reconcile-interval", "20ms", "--log-level", "debug"]
    with daemon_in(tmp_path_factory.mktemp("quick"), *flags) as daemon:
        yield daemon


def shown(daemon: Daemon, pod: FakePod) -> dict[str, int]:
    states: dict[str, int] = pod_in(daemon.socket, pod.netns.inode).get("by_state", {})
    return states


def look(daemon: Daemon, pod: FakePod) -> None:
    """Let the daemon take a snapshot of the pod."""
    curl = ["curl", "-sSf", "--unix-socket", str(daemon.socket), "http://d/v1/self/connections"]
    subprocess.run(pod.netns.command(curl), check=True, capture_output=True)


@pytest.mark.core
def test_drift_is_corrected_counted_and_logged(quick: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    maps = DaemonMaps(quick.pid)
    with Connection(pod) as connection:
        assert connection.get()
        eventually(lambda: shown(quick, pod) == {"ESTABLISHED": 1})
        look(quick, pod)  # nothing changes meanwhile: from now on the counters are exact
        before = get(quick.socket, "/healthz")["drift"]
        wrong = maps.counters(pod.netns.inode, pod.port)
        wrong.by_state[ESTABLISHED] += 3
        maps.set_counters(pod.netns.inode, pod.port, wrong)
        eventually(lambda: get(quick.socket, "/healthz")["drift"] >= before + 3)
        assert shown(quick, pod) == {"ESTABLISHED": 1}
    assert '"before": {"ESTABLISHED": 4}, "after": {"ESTABLISHED": 1}' in quick.log.read_text()


@contextmanager
def waiting_drain(
    daemon: Daemon, pod: FakePod
) -> Iterator[tuple[Connection, subprocess.Popen[bytes]]]:
    """A drain with --no-roll that waits for one connection."""
    with Connection(pod) as connection:
        assert connection.get()
        hook = pod.exec(wait_argv(daemon.socket, no_roll=True, **QUICK))
        eventually(lambda: record_of(daemon.socket, pod).get("phases"))
        eventually(lambda: record_of(daemon.socket, pod)["phases"][-1][0] == "waiting")
        yield connection, hook


@pytest.mark.core
def test_a_lost_event_holds_a_drain_for_at_most_a_second(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    maps = DaemonMaps(daemon.pid)
    with waiting_drain(daemon, pod) as (connection, hook):
        eventually(lambda: maps.is_watched(pod.netns.inode, pod.port))
        maps.unwatch(pod.netns.inode, pod.port)
        stale = maps.counters(pod.netns.inode, pod.port)
        connection.close()
        began = time.monotonic()
        eventually(lambda: listed(pod.netns, pod.port) == 0)
        maps.set_counters(pod.netns.inode, pod.port, stale)  # the counters have not changed, either
        assert finish(hook)[0] == 0
    assert time.monotonic() - began < 3  # one second, and the delay of a busy machine


@pytest.mark.core
def test_counters_that_are_too_high_do_not_hold_a_drain(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    maps = DaemonMaps(daemon.pid)
    with waiting_drain(daemon, pod) as (connection, hook):
        wrong = maps.counters(pod.netns.inode, pod.port)
        wrong.by_state[ESTABLISHED] += 100
        maps.set_counters(pod.netns.inode, pod.port, wrong)
        connection.close()
        assert finish(hook)[0] == 0
    assert record_of(daemon.socket, pod)["seconds"] < 15


@pytest.mark.core
def test_counters_that_are_zero_do_not_end_a_drain(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    maps = DaemonMaps(daemon.pid)
    with waiting_drain(daemon, pod) as (connection, hook):
        for _ in range(3):  # each one wakes the drain
            zero = maps.counters(pod.netns.inode, pod.port)
            zero.by_state = PortCounters().by_state
            maps.set_counters(pod.netns.inode, pod.port, zero)
            with Connection(pod) as other:
                assert other.get()
            eventually(lambda: listed(pod.netns, pod.port) == 1)
        assert connection.get()
        assert hook.poll() is None
        connection.close()
        assert finish(hook)[0] == 0


def test_the_count_lies_between_those_of_ss_before_and_after(
    daemon: Daemon, make_pod: MakePod
) -> None:
    files.need(MANY + 200)
    pod = make_pod()
    connections: list[socket.socket] = []
    go_on = threading.Event()

    def rise() -> None:
        while not go_on.is_set() and len(connections) < MANY:
            connection = pod.client.socket()
            connection.connect((pod.address, pod.port))
            connections.append(connection)

    def fall() -> None:
        while not go_on.is_set() and connections:
            connections.pop().close()
            time.sleep(0.0002)  # not all at once

    with Connection(pod):
        eventually(lambda: shown(daemon, pod) == {"ESTABLISHED": 1})
    for change in (rise, fall):
        go_on.clear()
        thread = threading.Thread(target=change)
        thread.start()
        for _ in range(15):
            before = listed(pod.netns, pod.port)
            value = shown(daemon, pod).get("ESTABLISHED", 0)
            after = listed(pod.netns, pod.port)
            assert min(before, after) <= value <= max(before, after)
        go_on.set()
        thread.join()
    for connection in connections:
        connection.close()


def test_counts_of_a_pod_that_was_found_busy_become_exact(quick: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    connections: deque[socket.socket] = deque()
    while len(connections) < 500 or not shown(quick, pod):
        connections.append(pod.client.socket())
        connections[-1].connect((pod.address, pod.port))
        if len(connections) > 500:  # on a slow machine the pod is found late
            connections.popleft().close()
    eventually(lambda: shown(quick, pod) == {"ESTABLISHED": listed(pod.netns, pod.port)})
    assert listed(pod.netns, pod.port) == 500
    for connection in connections:
        connection.close()


def _reported(daemon: Daemon) -> set[int]:
    """The namespaces of all reported pods, including dead ones."""
    return {pod["netns"] for pod in get(daemon.socket, "/v1/pods")["pods"]}


@pytest.mark.core
def test_dead_pods_leave_the_list_and_the_maps(quick: Daemon, client_netns: Netns) -> None:
    maps = DaemonMaps(quick.pid)
    for _ in range(3):
        with FakePod(client_netns) as pod, Connection(pod) as connection:
            assert connection.get()
            inode = pod.netns.inode
            eventually(lambda: pod_in(quick.socket, inode))  # noqa: B023
            eventually(lambda: (inode, pod.port) in maps.ports())  # noqa: B023
        eventually(lambda: inode not in _reported(quick))  # noqa: B023
        eventually(lambda: (inode, pod.port) not in maps.ports())  # noqa: B023
    assert "Traceback" not in quick.log.read_text()


@pytest.mark.core
def test_pods_and_orphans_that_come_and_go_leak_nothing(quick: Daemon) -> None:
    maps = DaemonMaps(quick.pid)
    process = psutil.Process(quick.pid)

    def churn(times: int) -> None:
        for _ in range(times):
            with many_pods(AT_ONCE, connections=2):
                eventually(lambda: len(maps.ports()) >= AT_ONCE * len(PORTS))
            with fresh_netns() as namespace:
                leave_an_orphan(namespace)
        eventually(lambda: not maps.dead_ports())

    def grown_by() -> int:
        before = int(process.memory_info().rss)
        churn(6)
        return int(process.memory_info().rss) - before

    churn(3)
    # A leak grows each time. Besides, the counts of ended pods are kept for some minutes.
    assert min(grown_by() for _ in range(3)) < 1 << 20
    assert process.num_fds() < 40
    assert get(quick.socket, "/healthz")["missed"]["event"] == 0
