"""Several pods and services in the host's network namespace: each sees and drains only itself."""

import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.rig.cgroup import Cgroup, cgroup_root
from drainmon.cli.client import get
from tests.e2e.harness import Daemon, daemon_in, finish, public_folder
from tests.e2e.host_network import (
    HostPod,
    ask,
    free_port,
    half_request,
    nginx_on,
    run,
    states_by_ss,
)
from tests.waiting import eventually

pytestmark = pytest.mark.root


class Host:
    """A daemon, the folder of the pods' logs, and a cgroup for all processes of a test."""

    def __init__(self, daemon: Daemon, logs: Path, root: str, folder: Path) -> None:
        self.daemon, self.logs, self.root, self.folder = daemon, logs, root, folder

    def pod(self) -> HostPod:
        return HostPod(self.root)

    def listed(self, port: int) -> dict[str, Any]:
        """The pod that has this port."""
        pods = get(self.daemon.socket, "/v1/pods")["pods"]
        return next((pod for pod in pods if port in pod["ports"]), {})


@pytest.fixture(scope="module")
def logs() -> Iterator[Path]:
    """The folder of the pods' logs."""
    with public_folder() as path:
        (path / "logs").mkdir()
        yield path / "logs"


@pytest.fixture(scope="module")
def daemon(logs: Path) -> Iterator[Daemon]:
    with daemon_in(logs.parent, "--pod-logs", str(logs)) as daemon:
        yield daemon


@pytest.fixture
def host(daemon: Daemon, logs: Path, tmp_path: Path) -> Iterator[Host]:
    with cgroup_root() as root:
        yield Host(daemon, logs, root, tmp_path)


def test_two_pods_of_the_hosts_network_are_drained_separately(host: Host) -> None:
    ingress, gateway = host.pod(), host.pod()
    ingress.name(host.logs, "ingress", "nginx-x2k4d")
    ports = free_port(), free_port()
    with (
        nginx_on(ingress.container(), host.folder / "a", ports[0]),
        nginx_on(gateway.container(), host.folder / "b", ports[1]) as second,
        ExitStack() as stack,
    ):
        for number in (0, 1, 1):
            stack.enter_context(half_request(ports[number]))
        eventually(lambda: ingress.ask(host.daemon)["in_flight"] == 1)
        eventually(lambda: gateway.ask(host.daemon)["in_flight"] == 2)
        for port in ports:
            listed = host.listed(port)
            assert listed["ports"] == [port]
            assert Counter(listed["by_state"]) == states_by_ss(port)
        answer = ingress.ask(host.daemon)
        assert (answer["pod"], answer["namespace"], answer["name"], answer["uid"]) == (
            "ingress/nginx-x2k4d", "ingress", "nginx-x2k4d", ingress.uid,
        )  # fmt: skip
        assert (answer["ports"], answer["in_flight"]) == ([ports[0]], 1)
        assert gateway.ask(host.daemon)["pod"] == gateway.uid
        connections = gateway.ask(host.daemon, "/v1/self/connections")["connections"]
        assert {c["local"] for c in connections} == {f"127.0.0.1:{ports[1]}"}
        assert "only root of the host may" in ingress.ask(host.daemon, "/v1/pods")["error"]

        before = second.workers()
        hook = ingress.hook(host.daemon)
        eventually(lambda: _drain_of(host, ingress).get("rolls"))
        stack.pop_all().close()  # the connections that both wait for end
        kept = stack.enter_context(half_request(ports[1]))
        assert finish(hook)[0] == 0
        record = _drain_of(host, ingress)
        assert (record["pod"], record["namespace"]) == ("ingress/nginx-x2k4d", "ingress")
        assert (record["result"], record["peak_in_flight"]) == ("drained", 1)
        assert second.workers() == before

        eventually(lambda: gateway.ask(host.daemon)["in_flight"] == 1)
        hook = gateway.hook(host.daemon, no_roll=True)
        eventually(lambda: _drain_of(host, gateway).get("peak_in_flight") == 1)
        assert hook.poll() is None
        kept.close()
        assert finish(hook)[0] == 0


def _drain_of(host: Host, pod: HostPod) -> dict[str, Any]:
    drains = get(host.daemon.socket, "/v1/drains")["drains"]
    return next((drain for drain in drains if drain["uid"] == pod.uid), {})


def test_a_pod_without_nginx_does_not_see_other_pods_nginx(host: Host) -> None:
    busy, idle = host.pod(), host.pod()
    idle.name(host.logs, "shop", "idle")
    port = free_port()
    service = Cgroup(f"{host.root}/web.service")
    with (
        nginx_on(busy.container(), host.folder / "pod", port),
        nginx_on(service, host.folder / "service", free_port()),
        half_request(port),
    ):
        eventually(lambda: busy.ask(host.daemon)["in_flight"] == 1)
        answer = idle.ask(host.daemon)
        assert (answer["pod"], answer["ports"], answer["in_flight"]) == ("shop/idle", [], 0)
        assert answer["reason"] == "no nginx in this pod"
        assert idle.ask(host.daemon, "/v1/self/connections")["connections"] == []
        code, said = finish(idle.hook(host.daemon))
        assert (code, "no nginx here: nothing to drain" in said) == (0, True)


def test_a_pod_cannot_pose_as_another_by_a_nested_cgroup(host: Host) -> None:
    hostile, victim = host.pod(), host.pod()
    port = free_port()
    with nginx_on(victim.container(), host.folder / "v", port), half_request(port):
        eventually(lambda: victim.ask(host.daemon)["in_flight"] == 1)
        below = hostile.container().path + victim.path
        claim = Cgroup(f"{below}/{'0' * 64}")
        answer = ask(claim, host.daemon)
        assert (answer["uid"], answer["ports"]) == (hostile.uid, [])
        # A container outside of pods may claim to be in one, without effect.
        claim = Cgroup(f"{host.root}/docker/{'1' * 64}/{victim.path.strip('/')}/{'0' * 64}")
        assert ask(claim, host.daemon)["ports"] == []


def test_services_of_the_host_are_named_by_their_unit(host: Host) -> None:
    service = Cgroup(f"{host.root}/web.service")
    other = Cgroup(f"{host.root}/other.service")
    port = free_port()
    with nginx_on(service, host.folder / "web", port), half_request(port):
        eventually(lambda: ask(service, host.daemon)["in_flight"] == 1)
        listed = host.listed(port)
        assert (listed["pod"], listed["ports"], listed["uid"]) == ("web.service", [port], "")
        with nginx_on(other, host.folder / "other", free_port()):
            eventually(lambda: ask(other, host.daemon)["pod"] == "other.service")
            with pytest.raises(OSError, match=r"cannot choose an nginx: .*web\.service"):
                get(host.daemon.socket, "/v1/self")


def test_drain_waits_for_the_tail_of_a_pods_ended_nginx(host: Host) -> None:
    pod = host.pod()
    port = free_port()
    (host.folder / "file").write_bytes(bytes(1_000_000))
    files = f"; location = /file {{ root {host.folder}; }} sendfile on"
    with (
        nginx_on(pod.container(), host.folder / "n", port, files) as nginx,
        socket.socket() as slow,
    ):
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        slow.connect(("127.0.0.1", port))
        slow.sendall(b"GET /file HTTP/1.0\r\n\r\n")
        received = len(slow.recv(1000))
        eventually(lambda: pod.ask(host.daemon)["in_flight"] == 1)
        nginx.signal(signal.SIGTERM)
        nginx.wait()
        eventually(lambda: states_by_ss(port)["FIN_WAIT1"])
        # A sidecar's hook, which starts after nginx has gone.
        hook = pod.hook(host.daemon)
        eventually(lambda: _drain_of(host, pod).get("peak_in_flight") == 1)
        assert hook.poll() is None
        while data := slow.recv(65536):
            received += len(data)
        slow.close()
        assert finish(hook)[0] == 0
    assert received > 100_000


def test_a_server_by_another_name_is_drained_by_its_own_ports(host: Host) -> None:
    pod, other = host.pod(), host.pod()
    code = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])));"
        "a = s.accept()[0]; a.recv(99); print('served', flush=True); a.recv(99)"
    )
    port, next_door = free_port(), free_port()
    server = run(pod.container(), [sys.executable, "-c", code, str(port)])
    with nginx_on(other.container(), host.folder / "o", next_door), half_request(next_door):
        eventually(lambda: _listens(port))
        connection = half_request(port)
        assert server.stdout
        server.stdout.readline()
        hook = pod.hook(host.daemon)
        eventually(lambda: _drain_of(host, pod).get("peak_in_flight") == 1)
        connection.close()
        assert finish(hook)[0] == 0
    finish(server)


def _listens(port: int) -> bool:
    argv = ["ss", "-Hltn", f"sport = :{port}"]
    return bool(subprocess.run(argv, check=True, capture_output=True).stdout)


def test_pods_that_share_a_port_wait_for_each_others_connections(host: Host) -> None:
    old, new = host.pod(), host.pod()
    port = free_port()
    with (
        nginx_on(old.container(), host.folder / "old", port, "reuseport"),
        nginx_on(new.container(), host.folder / "new", port, "reuseport"),
        ExitStack() as stack,
    ):
        for _ in range(8):
            stack.enter_context(half_request(port))
        eventually(lambda: old.ask(host.daemon)["in_flight"] == 8)
        assert new.ask(host.daemon)["in_flight"] == 8
        hook = old.hook(host.daemon, no_roll=True)
        eventually(lambda: _drain_of(host, old).get("peak_in_flight") == 8)
        assert hook.poll() is None
        stack.close()
        assert finish(hook)[0] == 0
