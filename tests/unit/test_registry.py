"""The registry: the identity of pods, and the ports that they keep."""

import os
from collections.abc import Iterable

import pytest

from drainmon.pods import registry as registry_module
from drainmon.pods.cgroup import Owner
from drainmon.pods.identity import Identity, identify
from drainmon.pods.pod import NginxProcess, PodKey
from drainmon.pods.registry import ENDED_KEPT, Registry
from drainmon.procfs import process

NETNS = 4026532000
HOST = 4026531840
POD = PodKey(NETNS)
FIRST, WORKER, SECOND = (
    NginxProcess(10, 1, 100),
    NginxProcess(11, 10, 101),
    NginxProcess(10, 1, 900),  # the same pid, later
)
OTHER, SERVICE = NginxProcess(20, 1, 200), NginxProcess(30, 1, 300)

INGRESS = Owner("uid-a", "id-a", root="/kubepods/poda")
GATEWAY = Owner("uid-b", "id-b", root="/kubepods/podb")
UNIT = Owner(unit="nginx.service", root="/system.slice/nginx.service")
SHELL = Owner(unit="session-4.scope", root="/user.slice/session-4.scope")


class World:
    """The node's /proc."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.processes: dict[int, list[NginxProcess]] = {}
        self.ports: dict[NginxProcess, set[int]] = {}
        self.owners: dict[int, Owner] = {}
        self.asked: list[Owner] = []
        monkeypatch.setattr(registry_module, "find_processes", lambda _: self.processes)
        monkeypatch.setattr(registry_module, "listening_ports", self.listening)
        monkeypatch.setattr(registry_module, "owner_of", self.owner_of)
        self.registry = Registry(["nginx"], frozenset({HOST}), self.identify)

    def listening(self, processes: Iterable[NginxProcess]) -> frozenset[int]:
        return frozenset().union(*(self.ports.get(nginx, set()) for nginx in processes))

    def owner_of(self, pid: int) -> Owner:
        if pid not in self.owners:
            raise ProcessLookupError
        return self.owners[pid]

    def identify(self, owner: Owner) -> Identity:
        self.asked.append(owner)
        return identify(owner, {"uid-a": ("ingress", "nginx-x")})

    def scan(self, ports: set[int], *processes: NginxProcess) -> None:
        """Scan one pod in its own namespace, whose first process listens."""
        self.processes = {NETNS: list(processes)} if processes else {}
        self.ports = {processes[0]: ports} if processes else {}
        self.registry.scan()

    def scan_host(self, *found: tuple[NginxProcess, Owner, int]) -> None:
        """Scan processes of the host's namespace, each with its owner and its port."""
        self.processes = {HOST: [nginx for nginx, _, _ in found]}
        self.owners = {nginx.pid: owner for nginx, owner, _ in found}
        self.ports = {nginx: {port} for nginx, _, port in found}
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
    world.registry.hold(POD)
    world.registry.hold(POD)
    world.scan(set())
    (pod,) = world.registry.pods()
    assert pod.processes == ()
    assert pod.ports == {80}
    world.scan({81}, SECOND)  # nginx restarted during the drain: still the same pod
    assert world.registry.pods()[0].number == pod.number
    assert world.registry.pods()[0].ports == {80, 81}
    world.scan(set())
    world.registry.release(POD)
    world.scan(set())
    assert world.registry.pods()
    world.registry.release(POD)
    world.scan(set())
    assert world.registry.pods() == []


def test_a_pod_without_known_ports_adopts_the_given_ports(world: World) -> None:
    world.scan(set(), FIRST)
    (before,) = world.registry.pods()
    adopted = world.registry.adopt(NETNS, Owner(), frozenset({80}))
    assert (adopted.number, adopted.processes) == (before.number, (FIRST,))
    world.scan({443}, FIRST)
    assert world.registry.pods()[0].ports == {80, 443}


def test_a_scan_is_outdated_when_a_pods_processes_have_ended(world: World) -> None:
    me = NginxProcess(os.getpid(), os.getppid(), process.start_time(os.getpid()))
    world.scan({80}, me, FIRST)
    assert not world.registry.outdated()
    world.scan({80}, NginxProcess(me.pid, me.parent, me.started - 1))
    assert world.registry.outdated()
    world.scan(set())
    assert not world.registry.outdated()


def test_a_pods_name_is_read_once(world: World) -> None:
    world.owners = {FIRST.pid: UNIT, WORKER.pid: INGRESS}
    for _ in range(3):
        world.scan({80}, FIRST, WORKER)
    (pod,) = world.registry.pods()
    assert pod.label == "ingress/nginx-x"
    assert world.asked == [INGRESS]


def test_a_unit_does_not_name_a_namespace(world: World) -> None:
    world.owners = {FIRST.pid: SHELL}
    world.scan({80}, FIRST)
    assert world.registry.pods()[0].label == f"netns-{NETNS}"


def test_pods_of_the_hosts_namespace_are_told_apart(world: World) -> None:
    worker = NginxProcess(12, FIRST.pid, 100)
    world.scan_host(
        (FIRST, INGRESS, 80), (worker, INGRESS, 80), (OTHER, GATEWAY, 8080), (SERVICE, UNIT, 9000)
    )
    found = {
        pod.label: (set(pod.ports), {p.pid for p in pod.processes}) for pod in world.registry.pods()
    }
    assert found == {
        "ingress/nginx-x": ({80}, {FIRST.pid, worker.pid}),
        "uid-b": ({8080}, {OTHER.pid}),
        "nginx.service": ({9000}, {SERVICE.pid}),
    }
    assert len({pod.number for pod in world.registry.pods()}) == 3


def test_a_caller_of_the_hosts_namespace_gets_its_own_pod(world: World) -> None:
    def label(owner: Owner) -> str | None:
        pod = world.registry.find(HOST, owner)
        return pod.label if pod else None

    world.scan_host((FIRST, INGRESS, 80), (SERVICE, UNIT, 9000))
    assert label(INGRESS) == "ingress/nginx-x"
    assert label(UNIT) == "nginx.service"
    assert label(SHELL) == label(Owner()) == "nginx.service"
    assert label(GATEWAY) is None  # neither another pod's nginx, nor the host's
    assert label(Owner(root="/a /b")) is None
    world.scan_host((FIRST, INGRESS, 80))
    assert label(SHELL) is None


def test_a_shell_beside_several_services_is_refused(world: World) -> None:
    second = Owner(unit="web.service", root="/system.slice/web.service")
    world.scan_host((FIRST, UNIT, 80), (OTHER, second, 81))
    with pytest.raises(ValueError, match=r"the host has nginx\.service, web\.service"):
        world.registry.find(HOST, SHELL)
    pod = world.registry.find(HOST, second)
    assert pod
    assert pod.ports == {81}


def test_a_port_of_the_hosts_namespace_outlives_its_nginx(world: World) -> None:
    world.scan_host((FIRST, INGRESS, 80), (OTHER, GATEWAY, 8080))
    world.scan_host((OTHER, GATEWAY, 8080))
    key = world.registry.key(HOST, INGRESS)
    assert world.registry.ended_ports(key) == {80}
    assert world.registry.ended_ports(world.registry.key(HOST, GATEWAY)) == frozenset()
    for number in range(ENDED_KEPT):
        world.scan_host((OTHER, Owner("u", root=f"/{number}"), 90))
        world.scan_host()
    assert world.registry.ended_ports(key) == frozenset()


def test_learned_ports_stay_with_the_pod(world: World) -> None:
    world.scan_host((FIRST, INGRESS, 80))
    key = world.registry.key(HOST, INGRESS)
    world.registry.learn(key, frozenset({8080}))
    world.registry.learn(world.registry.key(HOST, GATEWAY), frozenset({8081}))  # an unknown pod
    world.scan_host((FIRST, INGRESS, 80))
    (pod,) = world.registry.pods()
    assert pod.ports == {80, 8080}


def test_ports_learned_during_a_scan_are_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.scan_host((FIRST, INGRESS, 80))
    key = world.registry.key(HOST, INGRESS)

    def listening_ports(_: object) -> frozenset[int]:
        world.registry.learn(key, frozenset({8081}))
        return frozenset({80})

    monkeypatch.setattr(registry_module, "listening_ports", listening_ports)
    world.registry.scan()
    (pod,) = world.registry.pods()
    assert pod.ports == {80, 8081}


def test_only_the_held_pod_of_the_hosts_namespace_stays(world: World) -> None:
    world.scan_host((FIRST, INGRESS, 80), (OTHER, GATEWAY, 8080))
    key = world.registry.key(HOST, INGRESS)
    world.registry.hold(key)
    world.scan_host()
    (pod,) = world.registry.pods()
    assert (pod.key, set(pod.ports), len(pod.processes)) == (key, {80}, 0)


def test_a_pod_without_nginx_has_a_name_and_is_not_listed(world: World) -> None:
    pod = world.registry.without_nginx(HOST, INGRESS)
    assert (pod.label, pod.ports) == ("ingress/nginx-x", frozenset())
    assert world.registry.pods() == []
