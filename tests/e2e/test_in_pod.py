"""The daemon's sockets in pods' network namespaces: they appear and go with nginx, are taken over,
and do not interfere."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.rig.netns import Netns, fresh_netns, ip, link
from bench.rig.pod import FakePod
from tests.e2e.api import pod_among
from tests.e2e.connections import Connection
from tests.e2e.harness import DAEMON, Daemon, finish
from tests.e2e.in_pod import PORT, SERVER, Caller, call, flooding, refusals
from tests.e2e.ways_in import Node, own_node
from tests.waiting import eventually

pytestmark = pytest.mark.root

QUICK = "timeout=20s&min-wait=0.2s&quiet=0.2s"
SLOW = "timeout=20s&min-wait=2s&quiet=0.2s"
SLOWER = "timeout=20s&min-wait=5s&quiet=0.2s"
"""Longer than a namespace without sockets keeps its connections."""


@pytest.fixture
def bare_node() -> Iterator[Node]:
    """A node without a daemon."""
    with own_node() as node:
        yield node


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node with a daemon."""
    with own_node() as node, node.daemon():
        yield node


@pytest.fixture
def pod(node: Node) -> Iterator[FakePod]:
    with node.pod() as pod:
        eventually(lambda: node.serves("port", pod))
        yield pod


def described(node: Node, pod: FakePod) -> dict[str, Any]:
    """The pod in /v1/pods."""
    return pod_among(node.ask("pods"), pod.netns.inode)


def reaches(node: Node, caller: Netns) -> bool:
    """Whether a process there reaches the socket in the pod's network."""
    with caller.socket(socket.AF_UNIX) as connection:
        return not connection.connect_ex(f"\0{node.tools.in_pod_socket}")


def log_of(daemon: Daemon, event: str) -> list[str]:
    lines = map(json.loads, daemon.log.read_text().splitlines())
    return [line["error"] for line in lines if line["event"] == event]


def test_other_namespaces_do_not_reach_the_pods_socket(node: Node, pod: FakePod) -> None:
    assert reaches(node, pod.netns)
    assert not reaches(node, pod.client)


def test_a_port_and_a_name_that_the_pod_uses_stay_its_own(bare_node: Node) -> None:
    node = bare_node
    with node.pod(server=f"listen {PORT};") as pod, ExitStack() as stack:
        mine = stack.enter_context(pod.netns.socket(socket.AF_UNIX))
        mine.bind(f"\0{node.tools.in_pod_socket}")
        mine.listen()
        daemon = stack.enter_context(node.daemon())
        assert described(node, pod)["ports"] == [pod.port, PORT]
        assert described(node, pod)["ways_in"] == ["folder"]
        with node.pod() as other:  # causes a new scan of all pods
            eventually(lambda: reaches(node, other.netns))
        said = [
            f"cannot listen on @{node.tools.in_pod_socket}: another process does",
            f"cannot listen on port {PORT}: another process does",
        ]
        assert log_of(daemon, "way in missing") == said
        with Connection(pod, port=PORT) as client:
            assert b"200" in client.get()
        mine.close()
        eventually(lambda: f"@{node.tools.in_pod_socket}" in described(node, pod)["ways_in"])
        assert log_of(daemon, "way in missing") == said


def test_a_port_stays_free_for_the_program_that_used_it(bare_node: Node) -> None:
    """A restarted container needs it."""
    node = bare_node
    with node.pod() as pod, pod.netns.socket() as theirs, ExitStack() as stack:
        theirs.bind(("0.0.0.0", PORT))  # noqa: S104
        theirs.listen()
        mine = stack.enter_context(pod.netns.socket(socket.AF_UNIX))
        mine.bind(f"\0{node.tools.in_pod_socket}")
        mine.listen()
        daemon = stack.enter_context(node.daemon())
        eventually(lambda: len(log_of(daemon, "way in missing")) == 2)
        theirs.close()
        mine.close()
        name = f"@{node.tools.in_pod_socket}"
        eventually(lambda: name in described(node, pod)["ways_in"])
        assert described(node, pod)["ways_in"] == ["folder", name]


def slow_drain(node: Node, pod: FakePod) -> Caller:
    """A drain by the port that has begun."""
    eventually(lambda: node.serves("port", pod))
    caller = Caller(pod, f"/drain?{SLOWER}")
    eventually(lambda: node.phase(pod.netns))
    return caller


def test_a_replaced_daemon_finishes_its_drains(bare_node: Node) -> None:
    """The hook would not ask the next daemon. New requests reach it; none is refused."""
    node = bare_node
    with ExitStack() as first, node.pod() as pod:
        old = first.enter_context(node.daemon())
        caller = slow_drain(node, pod)
        with node.daemon("--take-over") as new, refusals(pod) as refused:
            eventually(lambda: new.log.read_text().count('"event": "serving"') == 2)
            os.kill(old.pid, signal.SIGTERM)
            eventually(lambda: node.phase(pod.netns) == "")
            assert call(pod, f"/drain?{QUICK}")[1]["result"] == "drained"
            assert caller.answer()["result"] == "drained"
            first.close()
        assert refused == []
        assert log_of(new, "way in missing") == []


def test_a_stopping_daemon_stops_listening_in_pods(bare_node: Node) -> None:
    """Neither at old places nor at a new nginx's, while the daemon finishes a drain."""
    node = bare_node
    with ExitStack() as first, node.pod() as pod:
        old = first.enter_context(node.daemon())
        caller = slow_drain(node, pod)
        os.kill(old.pid, signal.SIGTERM)
        eventually(lambda: not node.serves("socket", pod))
        with node.pod() as other:
            while not caller.answered():
                for way in ("socket", "port"):
                    assert not node.serves(way, pod)
                    assert not node.serves(way, other)
        assert caller.answer()["result"] == "drained"


def test_only_the_node_may_call_the_port(node: Node, pod: FakePod) -> None:
    before = refused_callers(node)
    assert call(pod, "/count")[1]["netns"] == pod.netns.inode
    inside = call(pod, "/count", pod.netns, "127.0.0.1")
    assert inside == (403, {"error": "cannot answer: only the pod's own node may call"})
    with fresh_netns("drainmon-other") as other:
        link(other, "10.99.0.1/30", pod.netns, "10.99.0.2/30")
        assert call(pod, f"/drain?{QUICK}", other, "10.99.0.2")[0] == 403
    eventually(lambda: refused_callers(node) == before + 2)
    assert node.record(pod.netns) == {}


def refused_callers(node: Node) -> float:
    url = "http://d/metrics"
    curl = node.host.command(["curl", "-sS", "--unix-socket", str(node.tools.socket), url])
    text = subprocess.run(curl, check=True, capture_output=True, text=True).stdout
    (line,) = re.findall("^drainmon_refused_callers_total (.*)$", text, re.MULTILINE)
    return float(line)


def test_an_address_that_the_node_gets_later_is_accepted(node: Node, pod: FakePod) -> None:
    assert call(pod, "/count")[0] == 200
    here, _ = link(node.host, "10.98.0.1/30", pod.netns, "10.98.0.2/30")
    assert call(pod, "/count", address="10.98.0.2")[0] == 200
    ip("-n", node.host.name, "address", "del", "10.98.0.1/30", "dev", here)
    assert call(pod, "/count", address=f"[{pod.address6}]")[0] == 200


@pytest.mark.parametrize("way", ["its socket", "the other's port"])
def test_one_pod_cannot_keep_another_from_its_drain(node: Node, pod: FakePod, way: str) -> None:
    with node.pod() as hostile, fresh_netns("drainmon-other") as other:
        link(other, "10.99.0.1/30", pod.netns, "10.99.0.2/30")
        eventually(lambda: node.serves("socket", hostile))
        flood = (
            flooding(hostile.netns, node.tools.in_pod_socket)
            if way == "its socket"
            else flooding(other, "10.99.0.2", str(PORT))
        )
        with flood:
            for way_in in ("socket", "port"):
                # A full queue drops the SYN, which is sent again after 1, 3, 7 and 15 s.
                status, output = finish(node.start(way_in, pod), within=30)
                assert status == 0, output
                assert "counting" not in output
                assert node.record(pod.netns)["result"] == "drained"


def test_the_hosts_network_has_the_socket_while_nginx_runs(node: Node) -> None:
    assert not reaches(node, node.host)
    argv = node.host.command([sys.executable, "-c", SERVER, node.nginx.name])
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as server:
        eventually(lambda: reaches(node, node.host))
        with node.host.socket() as caller:
            assert caller.connect_ex(("127.0.0.1", PORT)) == errno.ECONNREFUSED
        server.communicate()
    eventually(lambda: not reaches(node, node.host))


@pytest.mark.parametrize("source", ["core", "procfs"])
def test_the_daemons_connections_do_not_count_as_the_pods(bare_node: Node, source: str) -> None:
    node = bare_node
    with node.pod() as pod, node.daemon("--source", source):
        eventually(lambda: node.serves("port", pod))
        with Connection(pod) as client:
            client.get(close=True)
        assert call(pod, "/count")[1]["accepted"] == described(node, pod)["accepted"]
        caller = Caller(pod, f"/drain?{SLOW}")
        eventually(lambda: node.record(pod.netns).get("phases"))
        assert call(pod, "/count")[1]["in_flight"] == 0
        assert caller.answer()["result"] == "drained"
        record = node.record(pod.netns)
        assert (record["arrivals"], record["last_arrival"]) == (0, None)
        assert record["seconds"] < 4.0


def test_a_request_to_the_port_drains(node: Node, pod: FakePod) -> None:
    with Connection(pod) as client:
        client.get()
        assert call(pod, "/drain?timeout=1s&min-wait=0&roll=no")[1]["result"] == "deadline"
        status, answer = call(pod, f"/drain?{QUICK}")
        assert (status, answer["result"], answer["roll"]) == (200, "drained", "quit")
        assert client.read() == b""
    assert call(pod, "/drain?timeout=never")[0] == 400
    assert call(pod, "/drain?time=5s")[0] == 400
    assert call(pod, "/")[0] == 404


AS_101 = """\
#!/bin/sh
[ "$1" = -v ] && exec {nginx} "$@"
chown -R 101:101 "$2" && chmod 755 "$2" &&
	exec setpriv --reuid=101 --regid=101 --clear-groups {nginx} "$@"
"""
"""As in the image nginx-unprivileged. The second argument is the prefix."""

NOT_TO_READ = """\
#!/bin/sh
exec setpriv --bounding-set=-dac_read_search,-dac_override {daemon} "$@"
"""
"""Root that may not read other users' descriptors."""


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_pod_with_hidden_listeners_can_be_drained(bare_node: Node) -> None:
    """Every connection in the pod counts then, except those to the daemon."""
    node = bare_node
    nginx = script(node.folder / "as-101", AS_101.format(nginx=node.nginx))
    program = script(node.folder / "not-to-read", NOT_TO_READ.format(daemon=DAEMON))
    with FakePod(node.host, nginx=nginx, port=8080) as pod, node.daemon(program=program):
        eventually(lambda: node.serves("port", pod))
        assert described(node, pod)["ports"] == []
        with Connection(pod) as client:
            client.send("/half")
            answer = call(pod, "/drain?timeout=1s&min-wait=0&quiet=0.1s&roll=no")[1]
        assert (answer["result"], answer["in_flight"], answer["ports"]) == ("deadline", 1, [8080])


def test_a_drain_is_abandoned_when_its_caller_is_gone(node: Node, pod: FakePod) -> None:
    with Connection(pod) as client:
        client.send("/half")
        caller = Caller(pod, f"/drain?{SLOW}")
        eventually(lambda: node.record(pod.netns).get("phases"))
        caller.hang_up()
        eventually(lambda: node.record(pod.netns)["result"] == "abandoned", within=5.0)
        assert 2.0 <= node.record(pod.netns)["seconds"] < 4.0


def test_a_caller_that_comes_back_joins_its_drain(node: Node, pod: FakePod) -> None:
    first = Caller(pod, f"/drain?{SLOW}")
    eventually(lambda: node.record(pod.netns).get("phases"))
    first.hang_up()
    answer = Caller(pod, f"/drain?{SLOW}").answer()
    assert answer["result"] == "drained"
    assert answer["elapsed"] == pytest.approx(node.record(pod.netns)["seconds"], abs=0.1)
    assert time.monotonic() - first.began < 4.0
