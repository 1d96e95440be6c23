"""Listeners that come, go and change hands: the pod's ports and counts stay correct."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig.netns import Netns
from tests.e2e.api import pod_in
from tests.e2e.connections import Connection
from tests.e2e.harness import Daemon, MakePod, finish, wait_argv
from tests.e2e.plain_nginx import LISTEN, PlainNginx
from tests.waiting import eventually

pytestmark = pytest.mark.root

QUICK = {"min_wait": "0.1s", "quiet": "0.1s", "timeout": "20s"}


@pytest.fixture
def nginx(netns: Netns, tmp_path: Path) -> Iterator[PlainNginx]:
    nginx = PlainNginx(netns, tmp_path / "nginx")
    yield nginx
    nginx.close()


def ports(daemon: Daemon, namespace: Netns) -> list[int]:
    found: list[int] = pod_in(daemon.socket, namespace.inode).get("ports", [])
    return found


def established(daemon: Daemon, namespace: Netns) -> int:
    found: int = pod_in(daemon.socket, namespace.inode).get("by_state", {}).get("ESTABLISHED", 0)
    return found


def listeners(namespace: Netns, port: int) -> int:
    """How many sockets listen on a port, by ss."""
    argv = ["ss", "-Hltn", f"sport = :{port}"]
    done = subprocess.run(namespace.command(argv), check=True, capture_output=True)
    return len(done.stdout.splitlines())


def connect(stack: ExitStack, namespace: Netns, port: int, address: str = "127.0.0.1") -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = stack.enter_context(namespace.socket(family))
    connection.connect((address, port))


def test_ports_follow_a_reload_that_adds_and_removes_listeners(
    daemon: Daemon, netns: Netns, nginx: PlainNginx
) -> None:
    with ExitStack() as stack:
        eventually(lambda: ports(daemon, netns) == [8080])
        connect(stack, netns, 8080)
        nginx.configure("listen 8081; listen 8082;")
        nginx.signal(signal.SIGHUP)
        eventually(lambda: ports(daemon, netns) == [8080, 8081, 8082])
        connect(stack, netns, 8081)
        connect(stack, netns, 8082)
        eventually(lambda: established(daemon, netns) == 3)  # 8080 is closed, its connection stays


def test_connections_on_a_reuseport_port_are_counted(
    daemon: Daemon, netns: Netns, nginx: PlainNginx
) -> None:
    nginx.configure("listen 8080 reuseport;")
    nginx.signal(signal.SIGHUP)
    with ExitStack() as stack:
        eventually(lambda: ports(daemon, netns) == [8080])
        for _ in range(20):
            connect(stack, netns, 8080)
        eventually(lambda: established(daemon, netns) == 20)


def test_connections_on_a_dual_stack_port_are_counted(
    daemon: Daemon, netns: Netns, nginx: PlainNginx
) -> None:
    nginx.configure("listen 8080; listen [::]:8080;")
    nginx.signal(signal.SIGHUP)
    eventually(lambda: listeners(netns, 8080) == 2)
    with ExitStack() as stack:
        for address in ("127.0.0.1", "::1", "::1"):
            connect(stack, netns, 8080, address)
        eventually(lambda: established(daemon, netns) == 3)
        assert ports(daemon, netns) == [8080]


def test_two_nginx_in_one_namespace_are_drained_together(
    daemon: Daemon, netns: Netns, nginx: PlainNginx, tmp_path: Path
) -> None:
    second = PlainNginx(netns, tmp_path / "second", "listen 9090;")
    try:
        with ExitStack() as stack:
            eventually(lambda: ports(daemon, netns) == [8080, 9090])
            connect(stack, netns, 8080)
            connect(stack, netns, 9090)
            eventually(lambda: established(daemon, netns) == 2)
            assert len(pod_in(daemon.socket, netns.inode)["masters"]) == 2
            hook = subprocess.Popen(
                netns.command(wait_argv(daemon.socket, **QUICK)), stdout=subprocess.PIPE
            )
        assert finish(hook)[0] == 0
    finally:
        second.close()


def test_connections_of_a_restarted_nginx_are_counted(
    daemon: Daemon, netns: Netns, nginx: PlainNginx
) -> None:
    with ExitStack() as stack:
        connect(stack, netns, 8080)
        eventually(lambda: pod_in(daemon.socket, netns.inode))
        eventually(lambda: established(daemon, netns) == 1)
        first = pod_in(daemon.socket, netns.inode)["masters"]
        nginx.close()
        nginx.configure(LISTEN.replace("8080", "8081"))
        nginx.start()
        eventually(lambda: pod_in(daemon.socket, netns.inode).get("masters") not in (None, first))
        connect(stack, netns, 8081)
        eventually(lambda: established(daemon, netns) == 1)
        assert ports(daemon, netns) == [8081]


def test_a_port_that_closes_amid_the_drain_stays_counted(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    with Connection(pod, receive_buffer=32768) as slow:
        slow.send("/file", close=True)
        received = len(slow.read(1000))
        argv = pod.netns.command(wait_argv(daemon.socket, no_roll=True, **QUICK))
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as hook:
            eventually(lambda: pod_in(daemon.socket, pod.netns.inode))
            pod.exec([*pod.nginx_argv, "-s", "quit"]).wait()
            eventually(lambda: not listeners(pod.netns, pod.port))
            assert hook.poll() is None
            assert received + slow.read_all() > 2_000_000
            assert finish(hook)[0] == 0
