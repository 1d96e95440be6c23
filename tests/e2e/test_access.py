"""Permissions of root of the host, of a pod, and of processes that only resemble one of them."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench.rig.netns import Netns
from tests.e2e.api import record_of
from tests.e2e.callers import (
    USER_101,
    curl,
    drain_and,
    pod_cgroup,
    process_with_pid,
    run,
)
from tests.e2e.connections import Connection
from tests.e2e.harness import CLIENT, Daemon, MakePod, daemon_in, finish, public_folder, wait_argv
from tests.e2e.one_idle import drain_with_one_idle
from tests.waiting import eventually

pytestmark = pytest.mark.root

QUICK = {"min_wait": "0.1s", "quiet": "0.1s", "timeout": "20s"}

NODE = ("/v1/pods", "/v1/drains", "/metrics")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon whose folder every user may open, with the client in it."""
    with public_folder() as folder, daemon_in(folder) as daemon:
        shutil.copy(CLIENT, folder)
        yield daemon


def public(daemon: Daemon, argv: list[str]) -> list[str]:
    """The client's command line, with the client from the daemon's folder."""
    return [str(daemon.socket.parent / CLIENT.name), *argv[1:]]


def sees(daemon: Daemon, *wrap: str) -> set[str]:
    """The node's paths that a caller may read; every other path must be refused with a reason."""
    allowed = set()
    for path in NODE:
        status, body = run([*wrap, *curl(daemon.socket, path)])
        if status == 200:
            allowed.add(path)
        else:
            assert status == 403
            assert json.loads(body) == {"error": f"cannot GET {path}: only root of the host may"}
    assert run([*wrap, *curl(daemon.socket, "/healthz")])[0] == 200
    return allowed


def test_root_of_the_host_sees_the_node(daemon: Daemon) -> None:
    assert sees(daemon) == set(NODE)


def test_another_user_of_the_host_sees_nothing(daemon: Daemon) -> None:
    assert sees(daemon, *USER_101) == set()
    status, body = run([*USER_101, *curl(daemon.socket, "/v1/self/drain", "-X", "POST")])
    assert status == 403
    assert "only a pod or root of the host may" in body


@pytest.mark.parametrize("user", [[], USER_101], ids=["root", "101"])
def test_root_of_a_user_namespace_is_not_root_of_the_host(daemon: Daemon, user: list[str]) -> None:
    wrap = [*user, "unshare", "--user", "--map-root-user", "--"]
    assert subprocess.run([*wrap, "id", "-u"], capture_output=True, check=True).stdout == b"0\n"
    assert sees(daemon, *wrap) == set()


def test_root_of_a_pod_sees_nothing_of_the_node(daemon: Daemon, netns: Netns) -> None:
    assert sees(daemon, *netns.command([])) == set()
    assert sees(daemon, *netns.command(["unshare", "--user", "--map-root-user", "--"])) == set()


def test_root_of_a_pod_in_the_hosts_network_sees_nothing_of_the_node(daemon: Daemon) -> None:
    with pod_cgroup() as wrap:
        assert sees(daemon, *wrap) == set()
        status, _ = run([*wrap, *curl(daemon.socket, "/v1/self")])
        assert status == 200


@pytest.mark.parametrize(
    "user",
    [
        USER_101,
        [*USER_101, "unshare", "--user", "--map-root-user", "--"],
        [*USER_101, "unshare", "--user", "--map-user=5000", "--"],
        ["unshare", "--user", "--map-root-user", "--"],
    ],
    ids=["101", "101 as root", "101 as 5000", "root as root"],
)
def test_any_user_may_drain_its_pod(daemon: Daemon, make_pod: MakePod, user: list[str]) -> None:
    pod = make_pod()
    argv = [*user, *public(daemon, wait_argv(daemon.socket, **QUICK))]
    hook = [shutil.which(argv[0]) or argv[0], *argv[1:]]
    assert len(drain_with_one_idle(daemon, pod, hook)["rolls"]) == 1


def in_pod(pod_netns: Netns, argv: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(pod_netns.command(argv), stdout=subprocess.PIPE)


def test_a_caller_that_executes_another_program_gets_the_result(
    daemon: Daemon, make_pod: MakePod
) -> None:
    pod = make_pod()
    become = "os.dup2(s.fileno(), 0); os.execv('/bin/cat', ['cat'])"
    with in_pod(pod.netns, drain_and(daemon.socket, become, '{"min_wait": 1}')) as caller:
        _, output = finish(caller)
    assert json.loads(output.splitlines()[-1])["result"] == "drained"


def test_a_caller_that_ends_leaves_no_answer_to_its_children(
    daemon: Daemon, make_pod: MakePod
) -> None:
    pod = make_pod()
    end = "sys.stdout.flush()\nif os.fork(): os._exit(0)\nprint('rest', f.read(), flush=True)"
    with in_pod(pod.netns, drain_and(daemon.socket, end)) as caller:
        _, output = finish(caller)
    first, _, rest = output.partition("rest ")
    assert json.loads(first)["phase"] == "settling"
    assert "result" not in rest
    eventually(lambda: record_of(daemon.socket, pod)["result"] == "abandoned")


def test_a_caller_that_leaves_its_namespace_gets_no_answer(
    daemon: Daemon, make_pod: MakePod
) -> None:
    pod = make_pod()
    leave = "ctypes.CDLL(None).unshare(0x40000000)\nprint(f.read(), flush=True)"
    with in_pod(pod.netns, drain_and(daemon.socket, leave)) as caller:
        _, output = finish(caller)
    assert "result" not in output
    eventually(lambda: record_of(daemon.socket, pod)["result"] == "abandoned")


def test_no_roll_for_a_caller_that_has_left_its_namespace(
    daemon: Daemon, make_pod: MakePod
) -> None:
    pod = make_pod()
    with Connection(pod) as busy:
        assert busy.get()
        before = pod.workers()
        leave = "ctypes.CDLL(None).unshare(0x40000000)\nf.read()"
        options = '{"min_wait": 0.5, "quiet": 0}'
        with in_pod(pod.netns, drain_and(daemon.socket, leave, options)) as caller:
            finish(caller)
        eventually(lambda: record_of(daemon.socket, pod)["result"] == "abandoned")
    assert pod.workers() == before


def test_another_process_with_the_callers_pid_is_not_the_caller(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        code = f"import socket; socket.socket(fileno={connection.fileno()}).connect("
        caller = subprocess.Popen(
            [sys.executable, "-c", f"{code}{str(daemon.socket)!r}); input()"],
            pass_fds=[connection.fileno()],
            stdin=subprocess.PIPE,
        )
        # An answer shows that the daemon has identified the caller.
        eventually(lambda: _answers(connection) == 200)
        caller.communicate(b"\n")
        with process_with_pid(caller.pid, ["sleep", "60"]) as another:
            assert _answers(connection) == 403
            another.kill()


def _answers(connection: socket.socket) -> int:
    """The status of /v1/self on a connection that stays open; 0 while it is not connected."""
    try:
        connection.sendall(b"GET /v1/self HTTP/1.1\r\nHost: d\r\n\r\n")
    except OSError:
        return 0
    return int(connection.recv(65536).split()[1])
