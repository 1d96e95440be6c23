"""A fake pod behaves like a container: its namespaces, its hooks, its termination."""

import http.client
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.rig.errors import RigError
from bench.rig.hooks import Tools, by_port
from bench.rig.netns import Netns
from bench.rig.pod import FIRST_CLIENT_ADDRESS, FakePod, HookPlace

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[2]


def get(address: str, path: str, port: int = 80) -> Callable[[], tuple[int, bytes]]:
    def function() -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(address, port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    return function


def test_a_pod_serves_ipv4_and_ipv6(client: Netns, nginx: Path) -> None:
    with FakePod(client, nginx=nginx, file_bytes=300_000) as pod:
        for address in (pod.address, pod.address6):
            assert client.call(get(address, "/")) == (200, b"ok\n")
        status, body = client.call(get(pod.address, "/file"))
        assert (status, len(body)) == (200, 300_000)
        assert len(pod.workers()) == 2


def test_extra_configuration_is_used(client: Netns, newest_nginx: Path) -> None:
    more = 'location = /more { return 200 "more"; }'
    with FakePod(client, nginx=newest_nginx, server=more, port=8080) as pod:
        assert client.call(get(pod.address, "/more", 8080)) == (200, b"more")


def test_ending_one_pod_leaves_another_alone(client: Netns, newest_nginx: Path) -> None:
    with FakePod(client, nginx=newest_nginx) as one, FakePod(client, nginx=newest_nginx) as two:
        one.terminate()
        assert client.call(get(two.address, "/")) == (200, b"ok\n")


def test_a_hook_runs_in_the_pods_namespaces(pod: FakePod) -> None:
    script = "readlink /proc/self/ns/net; cat /proc/1/comm /run/nginx.pid; echo $WORD"
    hook = pod.exec(["/bin/sh", "-c", script], {"WORD": "drain"})
    output, _ = hook.communicate(timeout=5)
    assert output.decode().split() == [f"net:[{pod.netns.inode}]", "nginx", "1", "drain"]


def test_a_hook_can_write_to_the_pods_log(pod: FakePod) -> None:
    hook = pod.exec(["/bin/sh", "-c", "echo said-by-hook > /proc/1/fd/1"])
    hook.communicate(timeout=5)
    assert "said-by-hook" in pod.log()


def test_a_hook_ends_with_nginx(pod: FakePod) -> None:
    hook = pod.exec(["/bin/sleep", "60"])
    pod.terminate()
    assert hook.wait(5) == -signal.SIGKILL


def test_the_stop_signal_follows_the_hook(pod: FakePod) -> None:
    hook = ["/bin/sh", "-c", "echo done; exit 3"]
    end = pod.terminate(hook, stop_signal=signal.SIGQUIT)
    assert (end.hook_exit, end.output, end.killed) == (3, "done\n", False)
    assert end.hook_start < end.hook_end <= end.nginx_exit < end.teardown
    assert end.seconds < 5
    assert "gracefully shutting down" in pod.log()


def test_a_hook_that_makes_nginx_quit_is_killed(pod: FakePod) -> None:
    quit_and_wait = f"{' '.join(pod.nginx_argv)} -s quit; sleep 60"
    end = pod.terminate(["/bin/sh", "-c", quit_and_wait])
    assert end.hook_exit == -signal.SIGKILL


def test_the_grace_period_ends_a_hook(pod: FakePod) -> None:
    end = pod.terminate(["/bin/sleep", "60"], grace=0.3)
    assert end.hook_exit is None
    assert 0.3 <= end.seconds < 5


TOOLS = Tools(Path("/nowhere"), Path("/nowhere"))


def test_a_request_from_the_node_works_as_a_hook(client: Netns, newest_nginx: Path) -> None:
    """Any response status is a success, as for a kubelet."""
    server = f'listen {TOOLS.in_pod_port}; location = /drain {{ return 403 "$remote_addr $args"; }}'
    with FakePod(client, nginx=newest_nginx, server=server) as pod:
        hook = by_port(quiet="1s")
        end = pod.terminate(hook.argv(pod, TOOLS), place=hook.place)
    assert hook.place is HookPlace.NODE
    assert (end.hook_exit, end.output) == (0, f"{pod.client_address} timeout=25s&quiet=1s")


def test_a_request_to_a_closed_port_fails_at_once(pod: FakePod) -> None:
    hook = by_port()
    end = pod.terminate(hook.argv(pod, TOOLS), place=hook.place)
    assert end.hook_exit == 7  # curl's: cannot connect
    assert end.seconds < 5


def test_the_grace_period_ends_a_request(client: Netns, newest_nginx: Path) -> None:
    with FakePod(client, nginx=newest_nginx) as pod:
        silent = pod.netns.socket()
        with silent:
            silent.bind((pod.address, TOOLS.in_pod_port))
            silent.listen()
            hook = by_port()
            end = pod.terminate(hook.argv(pod, TOOLS), grace=0.3, place=hook.place)
    assert end.hook_exit is None
    assert 0.3 <= end.seconds < 5


def test_the_first_pod_has_a_known_client_address() -> None:
    """A trial runs in a separate process, so its pod is the first."""
    code = (
        "from bench.rig.netns import fresh_netns\nfrom bench.rig.pod import FakePod\n"
        "with fresh_netns() as client, FakePod(client) as pod: print(pod.client_address)"
    )
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == FIRST_CLIENT_ADDRESS


def test_an_nginx_that_does_not_end_is_killed(client: Netns, newest_nginx: Path) -> None:
    with FakePod(client, nginx=newest_nginx, file_bytes=50_000_000) as pod:
        with client.socket(socket.AF_INET) as stalled:
            stalled.connect((pod.address, pod.port))
            stalled.sendall(b"GET /file HTTP/1.1\r\nHost: pod\r\n\r\n")
            stalled.recv(1)
            end = pod.terminate(stop_signal=signal.SIGQUIT, grace=0.1)
        assert end.killed
        assert end.seconds >= 2


def test_a_failing_start_of_nginx_is_reported_with_its_error(
    client: Netns, newest_nginx: Path
) -> None:
    with pytest.raises(RigError, match=r'cannot start nginx: (.|\n)*unknown directive "nonsense"'):
        FakePod(client, nginx=newest_nginx, http="nonsense;")
