"""Ports that one daemon reported stay known to the client and to the next daemon."""

import pytest

from tests.client.fake_daemon import Conversation, FakeDaemon
from tests.client.pod import PORT, Pod
from tests.client.run import wait_until

pytestmark = pytest.mark.root


def drains(daemon: Conversation) -> None:
    daemon.head()
    daemon.line(result="drained", in_flight=0)


def test_client_counts_and_passes_on_a_port_that_only_the_daemon_knew(pod: Pod) -> None:
    """nginx quits: nothing listens when the next daemon and the client look."""

    def dies(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("waiting", 1, ports=[PORT, 9999])
        daemon.phase("waiting", 1, ports=[9998])

    pod.connect()
    pod.listener.close()
    with FakeDaemon(pod.socket_path, dies, drains) as daemon:
        waiting = pod.start("--no-roll", "--timeout=20s", "--verbose")
        assert waiting.line("counts on the ports") == f"counts on the ports {PORT} 9998 9999"
        waiting.line("waiting, 1 in flight (ESTABLISHED 1)")
        assert waiting.end().status == 0
    first, second = daemon.requests
    assert "ports" not in first
    assert second["ports"] == [PORT, 9999, 9998]


def test_client_passes_on_a_port_that_it_counted_alone(pod: Pod) -> None:
    pod.connect()
    waiting = pod.start("--no-roll", "--timeout=20s")
    waiting.line("waiting, 1 in flight (ESTABLISHED 1)")
    pod.listener.close()
    with FakeDaemon(pod.socket_path, drains) as daemon:
        assert waiting.end().status == 0
    assert daemon.requests[0]["ports"] == [PORT]


def test_ports_fit_into_the_longest_possible_request(pod: Pod) -> None:
    ports = list(range(65472, 65536))

    def dies(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("waiting", 1, ports=ports, rolls=7, rolled=0.1)

    longest = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128"
    ignored = [f"--ignore-peer={longest}"] * 16 + ["--ignore-port=65535"] * 16
    pod.connect()
    with FakeDaemon(pod.socket_path, dies, drains) as daemon:
        waiting = pod.start("--no-roll", "--timeout=20s", *ignored)
        wait_until(lambda: len(daemon.requests) == 2, "the second request")
        assert waiting.end().status == 0
    assert daemon.requests[1]["ports"] == ports
