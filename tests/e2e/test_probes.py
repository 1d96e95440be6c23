"""Probes, scrapes and checks of a real nginx do not hold a drain, and other traffic is not taken
for them. The daemon runs in the namespace that they come from: its host's."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.rig.netns import Netns, fresh_netns
from bench.rig.pod import FakePod
from drainmon import SOURCES
from tests.e2e.api import pod_among, records_among
from tests.e2e.connections import Connection
from tests.e2e.harness import DAEMON, Daemon, daemon_in, finish, wait_argv
from tests.waiting import eventually

pytestmark = pytest.mark.root

SOON = 6.0
"""Seconds within which a drain without obstacles ends; half of the timeout is much later."""

QUIET = {"min_wait": "0.3s", "quiet": "1s", "timeout": "30s"}

ASKING = """\
import ctypes, http.client, sys, time
name, address, port, pause, header = sys.argv[1:]
ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)
connection = http.client.HTTPConnection(address, int(port), timeout=5)
while True:
    try:
        connection.request("GET", "/", headers={"Connection": header})
        connection.getresponse().read()
        print("asked", flush=True)
    except (OSError, http.client.HTTPException):
        connection.close()
    time.sleep(float(pause))
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Netns]:
    with fresh_netns("drainmon-host") as namespace:
        yield namespace


Run = Callable[..., Daemon]


@pytest.fixture(scope="module")
def run(host: Netns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A daemon with these flags, in the host's namespace; the same flags give the same daemon."""
    running: dict[tuple[str, ...], Daemon] = {}
    with ExitStack() as stack:

        def start(*flags: str) -> Daemon:
            if flags not in running:
                folder = tmp_path_factory.mktemp("daemon")
                running[flags] = stack.enter_context(daemon_of(host, folder, *flags))
            return running[flags]

        yield start


@contextmanager
def daemon_of(host: Netns, folder: Path, *flags: str) -> Iterator[Daemon]:
    with daemon_in(folder, *flags, program=host.wrap(DAEMON, folder / "drainmon")) as daemon:
        yield daemon


@pytest.fixture
def pod(host: Netns) -> Iterator[FakePod]:
    with FakePod(host, server="listen 9113;") as pod:
        yield pod


@contextmanager
def asking(
    pod: FakePod, name: str, pause: float = 0.3, header: str = "close", port: int = 80
) -> Iterator[None]:
    """A process of the host that sends requests continuously, each on a new connection unless
    `header` is keep-alive."""
    argv = [sys.executable, "-c", ASKING, name, pod.address, str(port), str(pause), header]
    process = subprocess.Popen(pod.client.command(argv), stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"asked\n"
        yield
    finally:
        process.kill()
        process.communicate()


def ask(daemon: Daemon, pod: FakePod, resource: str) -> list[dict[str, Any]]:
    """The daemon's answer to root of its host, which is the client's side of the pod."""
    url = f"http://drainmon/v1/{resource}"
    argv = pod.client.command(["curl", "-sS", "--unix-socket", str(daemon.socket), url])
    answer = subprocess.run(argv, check=True, capture_output=True).stdout
    found: list[dict[str, Any]] = json.loads(answer)[resource]
    return found


def record_of(daemon: Daemon, pod: FakePod) -> dict[str, Any]:
    return next(iter(records_among(ask(daemon, pod, "drains"), pod.netns)), {})


def pod_of(daemon: Daemon, pod: FakePod) -> dict[str, Any]:
    return pod_among(ask(daemon, pod, "pods"), pod.netns.inode)


def drain(daemon: Daemon, pod: FakePod, **flags: object) -> tuple[int, str]:
    return finish(pod.exec(wait_argv(daemon.socket, **(QUIET | flags))))


@pytest.mark.parametrize("source", SOURCES)
def test_a_readiness_probe_holds_no_drain(run: Run, pod: FakePod, source: str) -> None:
    daemon = run("--source", source)
    with asking(pod, "kubelet"):
        status, output = drain(daemon, pod)
        assert pod_of(daemon, pod)["probes_accepted"] >= 2
        # After the drain, the other sources count a probe that is served at the moment.
        eventually(lambda: pod_of(daemon, pod)["in_flight"] == 0)
    assert status == 0, output
    record = record_of(daemon, pod)
    assert record["seconds"] < SOON
    # A probe may have come just before its process was known.
    assert record["arrivals"] <= (source != "core")
    assert record["peak_in_flight"] == 0


@pytest.mark.parametrize("source", SOURCES)
def test_a_scraper_with_one_connection_holds_no_drain(run: Run, pod: FakePod, source: str) -> None:
    daemon = run("--source", source, "--probe-process", "kubelet", "--probe-process", "scraper")
    with asking(pod, "scraper", header="keep-alive"), asking(pod, "kubelet"):
        if source == "core":  # the others look for probes only during a drain
            eventually(lambda: pod_of(daemon, pod).get("probes") == 1)
        status, output = drain(daemon, pod)
    assert status == 0, output
    record = record_of(daemon, pod)
    assert record["seconds"] < SOON
    assert (record["rolls"], record["peak_in_flight"]) == ([], 0)


@pytest.mark.core
def test_a_scraper_older_than_the_daemon_holds_no_drain(
    host: Netns, pod: FakePod, tmp_path: Path
) -> None:
    with (
        asking(pod, "kubelet", header="keep-alive", pause=60),
        daemon_of(host, tmp_path, "--source", "core") as daemon,
    ):
        known = pod_of(daemon, pod)
        assert (known["probes"], known["in_flight"]) == (1, 0)
        status, output = drain(daemon, pod)
        assert status == 0, output
        assert record_of(daemon, pod)["peak_in_flight"] == 0


@pytest.mark.parametrize("source", SOURCES)
def test_traffic_beside_probes_holds_the_drain(run: Run, pod: FakePod, source: str) -> None:
    daemon = run("--source", source)
    with asking(pod, "kubelet"), Connection(pod) as connection:
        assert connection.get()
        status, output = drain(daemon, pod, timeout="3s", no_roll=True)
    assert status == 1
    assert "1 in flight (ESTABLISHED 1)" in output


@pytest.mark.parametrize("source", SOURCES)
def test_arrivals_that_never_stop_end_settling_at_half_of_the_timeout(
    run: Run, pod: FakePod, source: str
) -> None:
    """The connections come from the host, by a process whose name is almost that of a probe."""
    daemon = run("--source", source)
    with asking(pod, "kubelet-2"):
        status, output = drain(daemon, pod, timeout="8s")
    assert status == 0, output
    record = record_of(daemon, pod)
    assert 3.8 < record["seconds"] < 6, output
    assert record["arrivals"] > 3


@pytest.mark.parametrize("source", SOURCES)
def test_checks_of_an_ignored_peer_hold_no_drain(run: Run, pod: FakePod, source: str) -> None:
    """nginx closes them, so that every source sees their remains."""
    daemon = run("--source", source)
    with asking(pod, "balancer"), asking(pod, "balancer", header="keep-alive"):
        status, output = drain(daemon, pod, ignore_peer=f"192.0.2.0/24,{pod.client_address}/31")
    assert status == 0, output
    record = record_of(daemon, pod)
    assert record["seconds"] < SOON
    assert (record["rolls"], record["peak_in_flight"]) == ([], 0)


@pytest.mark.parametrize("source", SOURCES)
def test_other_peers_beside_ignored_ones_hold_the_drain(
    run: Run, pod: FakePod, source: str
) -> None:
    daemon = run("--source", source)
    with asking(pod, "balancer", header="keep-alive"), ExitStack() as stack:
        other = pod.client.socket(10)  # AF_INET6
        stack.enter_context(other)
        other.connect((pod.address6, 80))
        other.sendall(b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n")
        assert other.recv(1000)
        flags = {"ignore_peer": pod.client_address, "no_roll": True}
        status, output = drain(daemon, pod, timeout="4s", **flags)
    assert status == 1
    left = [line for line in output.splitlines() if "left: " in line]
    assert len(left) == 1, output
    assert f"[{pod.client_address6}]:" in left[0]


@pytest.mark.core
def test_peers_and_ports_that_the_daemon_ignores_hold_no_drain(run: Run, pod: FakePod) -> None:
    flags = ("--ignore-peer", "10.0.0.0/8", "--ignore-port", "9113")
    daemon = run("--source", "core", *flags)
    with (
        asking(pod, "balancer"),
        asking(pod, "balancer", header="keep-alive"),
        asking(pod, "scraper", port=9113),
    ):
        status, output = drain(daemon, pod)
        assert pod_of(daemon, pod)["ports"] == [80]
    assert status == 0, output
    record = record_of(daemon, pod)
    assert record["seconds"] < SOON
    assert record["peak_in_flight"] == 0


@pytest.mark.parametrize("source", SOURCES)
def test_an_ignored_port_holds_no_drain(run: Run, pod: FakePod, source: str) -> None:
    daemon = run("--source", source)
    with (
        asking(pod, "scraper", port=9113, header="keep-alive"),
        asking(pod, "scraper", port=9113),
    ):
        status, output = drain(daemon, pod, ignore_port=9113)
    assert status == 0, output
    record = record_of(daemon, pod)
    assert record["seconds"] < SOON
    assert (record["rolls"], record["peak_in_flight"]) == ([], 0)
