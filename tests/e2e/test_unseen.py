"""A pod that the daemon cannot see is never reported as drained."""

import json
import subprocess
from typing import Any

import pytest

from bench.rig.netns import Netns
from tests.e2e.callers import curl, run
from tests.e2e.harness import Daemon, finish, wait_argv

pytestmark = pytest.mark.root

QUICK = {"min_wait": 0.1, "quiet": 0.1, "timeout": 2}


def ask(daemon: Daemon, namespace: Netns, **options: Any) -> tuple[int, str]:
    body = json.dumps(QUICK | options)
    return run(namespace.command(curl(daemon.socket, "/v1/self/drain", "-d", body)))


def test_a_pod_without_visible_sockets_is_not_drained(daemon: Daemon, netns: Netns) -> None:
    """Such as a pod of a sandboxed runtime, whose sockets are not the host's."""
    # Even if the client counted inside, and asks again with the ports that it counted on.
    for ports in ([], [8080]):
        status, body = ask(daemon, netns, ports=ports)
        assert status == 404
        assert json.loads(body)["error"].startswith(
            "cannot drain: the daemon sees neither nginx nor a listener in this pod"
        )
    argv = wait_argv(daemon.socket, min_wait="0.1s", quiet="0.1s", timeout="5s")
    with subprocess.Popen(netns.command(argv), stdout=subprocess.PIPE) as hook:
        status, output = finish(hook)
    assert "the daemon sees neither nginx nor a listener in this pod" in output
    assert "counting without it" in output
    assert status == 0


def test_ports_that_the_client_reports_are_counted(daemon: Daemon, netns: Netns) -> None:
    """Their listener closed before the daemon started."""
    with netns.socket() as listener, netns.socket() as client:
        listener.bind(("127.0.0.1", 8081))
        listener.listen()
        client.connect(("127.0.0.1", 8081))
        with listener.accept()[0] as accepted:
            client.sendall(b"GET")
            accepted.recv(10)
            listener.close()
            status, body = ask(daemon, netns, ports=[8081])
    last = json.loads(body.splitlines()[-1])
    assert (status, last["result"], last["in_flight"]) == (200, "deadline", 1)
    assert last["ports"] == [8081]


def test_invalid_ports_are_refused(daemon: Daemon, netns: Netns) -> None:
    for ports in ("8080", [0], [70000], ["8080"], [True], [*range(1, 100)]):
        status, body = ask(daemon, netns, ports=ports)
        assert (status, "cannot drain: " in body) == (400, True)


def test_a_drain_reports_its_ports(daemon: Daemon, netns: Netns) -> None:
    with netns.socket() as listener:
        listener.bind(("127.0.0.1", 8082))
        listener.listen()
        _, body = ask(daemon, netns)
    assert 8082 in json.loads(body.splitlines()[-1])["ports"]
