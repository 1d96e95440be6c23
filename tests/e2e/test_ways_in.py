"""Each way in: the client in the node's folder, the socket in the pod, and preStop.httpGet on the
port in the pod."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.hooks.contenders import MIXES
from bench.rig.cgroup import cgroup_root
from bench.rig.closing import Closing
from bench.rig.container import Container
from bench.rig.many import many_pods
from bench.rig.netns import Netns, delete_netns
from bench.rig.pod import FakePod
from bench.rig.trial import run_trial
from tests.e2e.connections import Connection
from tests.e2e.harness import CLIENT, finish
from tests.e2e.ways_in import QUICK, WAYS, Node, abstract_listeners, own_node
from tests.waiting import eventually

pytestmark = pytest.mark.root

BY_CLIENT = ("folder", "socket")
IN_POD = ("socket", "port")
PODS = 200
LONG = {"min-wait": "20s"}


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node with a daemon."""
    with own_node() as node, node.daemon():
        yield node


@pytest.fixture
def bare_node() -> Iterator[Node]:
    """A node without a daemon."""
    with own_node() as node:
        yield node


@contextmanager
def downloading(pod: FakePod) -> Iterator[Connection]:
    """A client that has begun to read /file, and stops until the test continues."""
    with Connection(pod, receive_buffer=32768, timeout=30) as slow:
        slow.send("/file", close=True)
        assert slow.read(1000)
        yield slow


def draining(node: Node, way: str, pod: FakePod) -> subprocess.Popen[bytes]:
    """A hook that waits for the download."""
    eventually(lambda: node.serves(way, pod))
    hook = node.start(way, pod)
    eventually(lambda: node.phase(pod.netns) == "waiting")
    return hook


@pytest.mark.parametrize("way", WAYS)
def test_a_new_pod_can_be_drained_within_a_second(node: Node, way: str) -> None:
    with node.pod() as pod:
        eventually(lambda: node.serves(way, pod), within=1)


@pytest.mark.parametrize("way", WAYS)
def test_no_request_is_lost(node: Node, way: str) -> None:
    pods: list[FakePod] = []

    def make_pod(client: Netns) -> FakePod:
        pods.append(node.pod(client))
        eventually(lambda: node.serves(way, pods[0]))
        return pods[0]

    mix = MIXES["quick"]
    trial = run_trial(
        WAYS[way](**QUICK | {"min-wait": "1s"}),
        node.tools,
        make_pod=make_pod,
        client=node.host,
        load=mix.load,
        warm_up=mix.warm_up,
    )
    assert trial.totals.requests() > 100
    assert trial.totals.lost() == 0, (trial.losses, trial.termination.output)
    assert trial.termination.hook_exit == 0
    assert node.record(pods[0].netns)["result"] == "drained"


@pytest.mark.parametrize("way", BY_CLIENT)
def test_client_counts_alone_when_the_daemon_is_killed(bare_node: Node, way: str) -> None:
    with bare_node.pod() as pod, downloading(pod) as slow:
        with bare_node.daemon() as daemon:
            hook = draining(bare_node, way, pod)
            os.kill(daemon.pid, signal.SIGKILL)
        rest = slow.read_all()
        status, output = finish(hook)
    assert status == 0, output
    assert "counting without it" in output
    assert rest > 1_900_000


def test_a_request_to_the_port_fails_when_the_daemon_is_killed(bare_node: Node) -> None:
    """A kubelet then continues with the stop signal: connections in flight are lost."""
    with bare_node.pod() as pod, downloading(pod):
        with bare_node.daemon() as daemon:
            hook = draining(bare_node, "port", pod)
            os.kill(daemon.pid, signal.SIGKILL)
        assert finish(hook, within=2)[0] != 0
        assert finish(bare_node.start("port", pod), within=2)[0] == 7  # curl's: cannot connect


class Knocking(Closing):
    """A process in a pod that connects to the socket there without a pause, and the refusals."""

    def __init__(self, pod: FakePod, name: str) -> None:
        self.refused: list[OSError] = []
        self._pod, self._address = pod, f"\0{name}"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._knock)
        self._thread.start()

    def close(self) -> None:
        self._end.set()
        self._thread.join()

    def _knock(self) -> None:
        while not self._end.wait(0.002):
            with self._pod.netns.socket(socket.AF_UNIX) as caller:
                try:
                    caller.connect(self._address)
                except OSError as error:
                    self.refused.append(error)


@contextmanager
def taken_over(node: Node, old: int) -> Iterator[None]:
    """Start the next daemon, and stop the previous one when the next one serves."""
    log = node.folder / "daemon.log"
    with node.daemon("--take-over"):
        eventually(lambda: log.read_text().count('"event": "serving"') == 2)
        os.kill(old, signal.SIGTERM)
        yield


@pytest.mark.parametrize("way", BY_CLIENT)
def test_a_drain_continues_with_the_daemon_that_takes_over(bare_node: Node, way: str) -> None:
    node = bare_node
    with node.pod() as pod, downloading(pod) as slow, node.daemon() as old:
        hook = draining(node, way, pod)
        eventually(lambda: node.serves("socket", pod))
        with Knocking(pod, node.tools.in_pod_socket) as knocking, taken_over(node, old.pid):
            eventually(lambda: not Path(f"/proc/{old.pid}/exe").exists())
            eventually(lambda: node.phase(pod.netns) == "waiting")
            assert hook.poll() is None
            knocking.close()
            rest = slow.read_all()
            status, output = finish(hook)
            assert status == 0, output
            eventually(lambda: node.record(pod.netns)["result"] == "drained")
    assert knocking.refused == []
    assert rest > 1_900_000


@pytest.mark.parametrize("way", BY_CLIENT)
def test_a_hook_of_another_user_drains(node: Node, way: str) -> None:
    as_101 = ["/usr/bin/setpriv", "--reuid=101", "--regid=101", "--clear-groups"]
    with node.pod() as pod:
        eventually(lambda: node.serves(way, pod))
        argv = WAYS[way](**QUICK).argv(pod, node.tools)
        assert argv
        status, output = finish(pod.exec([*as_101, *argv]))
        assert status == 0, output
        assert node.record(pod.netns)["result"] == "drained"


IN_CONTAINER = """
daemon off; worker_processes 1; pid /run/nginx.pid; error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
    server { listen 8080; location / { return 200 "ok"; } }
}
"""


@pytest.fixture
def user_namespace(node: Node) -> Iterator[tuple[Container, Netns]]:
    """A container of nginx in a user namespace, and its network namespace."""
    (node.folder / "nginx.conf").write_text(IN_CONTAINER)
    name, mounts = secrets.token_hex(32), [node.folder, CLIENT.parent]
    argv = [str(node.nginx), "-p", "/tmp", "-c", str(node.folder / "nginx.conf"), "-e", "stderr"]  # noqa: S108
    inside = f"drainmon-test-{name[:6]}"
    try:
        with (
            cgroup_root() as root,
            Container(
                name, argv, cgroup=f"{root}/{name}", mounts=mounts, first_id=1_000_000
            ) as container,
        ):
            yield container, Netns(inside, of=container.pid)
    finally:
        delete_netns(inside)


@pytest.mark.skipif(not shutil.which("runc"), reason="needs runc")
def test_a_pod_in_a_user_namespace_can_be_drained(
    node: Node, user_namespace: tuple[Container, Netns]
) -> None:
    container, namespace = user_namespace
    name = node.tools.in_pod_socket
    eventually(lambda: name in abstract_listeners(container.pid))
    with namespace.socket() as connection:
        connection.connect(("127.0.0.1", 8080))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x")  # nginx cannot end this connection
        flags = [f"--{option}={value}" for option, value in QUICK.items()]
        hook = container.exec([str(CLIENT), f"--socket=@{name}", "--no-roll", *flags])
        eventually(lambda: node.record(namespace).get("peak_in_flight") == 1)
        assert hook.poll() is None
    status, output = finish(hook)
    assert status == 0, output
    assert node.record(namespace)["result"] == "drained"


@pytest.mark.parametrize("way", IN_POD)
def test_a_drain_keeps_no_namespace_alive(node: Node, way: str) -> None:
    """A device on the node's end of the pod's network goes with the pod's end."""
    with node.pod() as pod:
        eventually(lambda: node.serves(way, pod))
        hook = node.start(way, pod, **LONG)
        eventually(lambda: node.phase(pod.netns) == "settling")
        assert devices(node.host)
        os.kill(pod.master_pid, signal.SIGKILL)
        delete_netns(pod.netns.name)
        eventually(lambda: not devices(node.host), within=10)
        finish(hook, within=10)


def devices(namespace: Netns) -> set[str]:
    names = {name for _, name in namespace.call(socket.if_nameindex)}
    return {name for name in names if name.startswith("dm")}


def test_many_pods_get_a_socket_that_goes_with_them(bare_node: Node) -> None:
    """The socket appears soon after a pod listens."""
    with bare_node.daemon() as daemon:
        before = sockets(daemon.pid)
        with many_pods(PODS, connections=0, name=bare_node.nginx.name) as pids:
            name = bare_node.tools.in_pod_socket
            eventually(lambda: all(name in abstract_listeners(pid) for pid in pids), within=10)
            assert sockets(daemon.pid) >= before + PODS
        eventually(lambda: sockets(daemon.pid) <= before, within=10)


def sockets(pid: int) -> int:
    """The number of a process's sockets."""
    links = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(path.readlink()))
        except FileNotFoundError:  # closed since the folder was read
            continue
    return sum(link.startswith("socket:") for link in links)
