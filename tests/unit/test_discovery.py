"""The registry: which pod is the same one as before, which ports it keeps."""

import os
import signal
import subprocess
import sys

import pytest

from drainmon.pods import discovery
from drainmon.pods.discovery import Registry
from drainmon.pods.pod import NginxProcess
from drainmon.pods.signals import send
from drainmon.procfs import process
from tests.waiting import eventually

NETNS = 4026532000
FIRST, WORKER, SECOND = (
    NginxProcess(10, 1, 100),
    NginxProcess(11, 10, 101),
    NginxProcess(10, 1, 900),  # the same pid, later
)


class World:
    """What the node's /proc would show."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.processes: dict[int, list[NginxProcess]] = {}
        self.ports: frozenset[int] = frozenset()
        monkeypatch.setattr(discovery, "find_processes", lambda _: self.processes)
        monkeypatch.setattr(discovery, "listening_ports", lambda _: self.ports)
        self.registry = Registry(["nginx"])

    def scan(self, ports: set[int], *processes: NginxProcess) -> None:
        self.processes = {NETNS: list(processes)} if processes else {}
        self.ports = frozenset(ports)
        self.registry.scan()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_port_outlives_its_listener(world: World) -> None:
    world.scan({80, 443}, FIRST, WORKER)
    world.scan({80}, WORKER)
    (pod,) = world.registry.pods()
    assert pod.ports == {80, 443}
    assert pod.label == f"netns-{NETNS}"


def test_a_later_pod_with_the_same_inode_and_pid_inherits_nothing(world: World) -> None:
    world.scan({80}, FIRST)
    (first,) = world.registry.pods()
    world.scan({8080}, SECOND)
    (second,) = world.registry.pods()
    assert second.ports == {8080}
    assert second.number != first.number


def test_a_pod_without_processes_is_gone_unless_it_is_held(world: World) -> None:
    world.scan({80}, FIRST)
    world.registry.hold(NETNS)
    world.registry.hold(NETNS)
    world.scan(set())
    (pod,) = world.registry.pods()
    assert pod.processes == ()
    assert pod.ports == {80}
    world.scan({81}, SECOND)  # nginx restarted amid the drain: still the same pod
    assert world.registry.pods()[0].number == pod.number
    assert world.registry.pods()[0].ports == {80, 81}
    world.scan(set())
    world.registry.release(NETNS)
    world.scan(set())
    assert world.registry.pods()
    world.registry.release(NETNS)
    world.scan(set())
    assert world.registry.pods() == []


def test_a_pod_without_known_ports_takes_those_that_it_is_given(world: World) -> None:
    world.scan(set(), FIRST)
    (before,) = world.registry.pods()
    adopted = world.registry.adopt(NETNS, frozenset({80}))
    assert (adopted.number, adopted.processes) == (before.number, (FIRST,))
    world.scan({443}, FIRST)
    assert world.registry.pods()[0].ports == {80, 443}


def test_outdated_when_all_processes_of_a_pod_have_ended(world: World) -> None:
    me = NginxProcess(os.getpid(), os.getppid(), process.start_time(os.getpid()))
    world.scan({80}, me, FIRST)
    assert not world.registry.outdated()
    world.scan({80}, NginxProcess(me.pid, me.parent, me.started - 1))
    assert world.registry.outdated()
    world.scan(set())
    assert not world.registry.outdated()


def test_signals_reach_the_process_that_was_meant() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        started = process.start_time(child.pid)
        with pytest.raises(ProcessLookupError, match="it is another process now"):
            send(NginxProcess(child.pid, 1, started - 1), signal.SIGKILL)
        assert child.poll() is None
        send(NginxProcess(child.pid, 1, started), signal.SIGKILL)
        eventually(lambda: child.poll() == -signal.SIGKILL)
    with pytest.raises(ProcessLookupError):
        send(NginxProcess(child.pid, 1, started), signal.SIGKILL)
