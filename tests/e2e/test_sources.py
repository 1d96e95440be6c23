"""The drain with each source, and with the next source when the one in use breaks."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig.clients import LoadSpec
from bench.rig.maps import DaemonMaps
from bench.rig.netns import Netns
from bench.rig.traffic import Traffic
from drainmon import SOURCES
from drainmon.cli.client import get
from tests.e2e.api import pod_in, record_of
from tests.e2e.connections import Connection
from tests.e2e.harness import Daemon, MakePod, daemon_in, finish, wait_argv
from tests.waiting import eventually

pytestmark = pytest.mark.root

QUICK = {"min_wait": "0.3s", "quiet": "0.2s", "timeout": "20s"}


@pytest.fixture(scope="module", params=SOURCES)
def sourced(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """A daemon with each source in turn."""
    with daemon_in(tmp_path_factory.mktemp(request.param), "--source", request.param) as daemon:
        assert get(daemon.socket, "/healthz")["source"] == request.param
        yield daemon


def test_drain_closes_idle_connections_and_waits_for_slow_readers(
    sourced: Daemon, make_pod: MakePod
) -> None:
    pod = make_pod()
    with Connection(pod) as idle, Connection(pod, receive_buffer=32768) as slow:
        assert idle.get()
        slow.send("/file", close=True)
        received = len(slow.read(1000))
        hook = pod.exec(wait_argv(sourced.socket, **QUICK))
        assert idle.read() == b""
        idle.close()
        assert hook.poll() is None
        received += slow.read_all()
        assert finish(hook)[0] == 0
    assert received > 2_000_000
    record = record_of(sourced.socket, pod)
    assert (record["result"], len(record["rolls"])) == ("drained", 1)


def test_late_arrivals_at_200_a_second_lose_nothing(
    sourced: Daemon, client_netns: Netns, make_pod: MakePod
) -> None:
    pod = make_pod()
    spec = LoadSpec(
        pod.address, pod.port, short_rate=200, endless=0, slow_readers=4, slow_upstream=0,
        keep_alive=4, propagation=3.0, slow_rate=800_000, slow_stagger=0.5,
    )  # fmt: skip
    with Traffic(client_netns, spec) as traffic:
        eventually(lambda: traffic.totals.requests() > 50)
        traffic.terminate()
        ended = pod.terminate(wait_argv(sourced.socket, min_wait="3.2s", quiet="0.5s"))
        totals = traffic.wait()
    assert ended.hook_exit == 0, ended.output
    assert totals.requests() > 100  # emulated machines reach 140
    assert totals.lost() == 0
    assert record_of(sourced.socket, pod)["arrivals"] > 30


def test_a_connection_that_is_never_used_does_not_hold_the_drain(
    sourced: Daemon, make_pod: MakePod
) -> None:
    pod = make_pod()
    with Connection(pod):
        status, output = finish(pod.exec(wait_argv(sourced.socket, **QUICK)))
    assert status == 0, output


def test_pods_and_connections_are_reported(sourced: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    with Connection(pod) as connection:
        assert connection.get()
        eventually(lambda: pod_in(sourced.socket, pod.netns.inode).get("in_flight") == 1)
        curl = ["curl", "-sS", "--unix-socket", str(sourced.socket)]
        argv = pod.netns.command([*curl, "http://d/v1/self/connections"])
        answer = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        assert f'"remote":"{pod.client_address}:' in answer


def test_only_source_bcc_imports_bcc(sourced: Daemon, make_pod: MakePod) -> None:
    status, output = finish(make_pod().exec(wait_argv(sourced.socket, **QUICK)))
    assert status == 0, output
    mapped = Path(f"/proc/{sourced.pid}/maps").read_text()  # import bcc loads its library
    assert ("libbcc" in mapped) == (get(sourced.socket, "/healthz")["source"] == "bcc")


@pytest.mark.core
def test_a_source_that_breaks_amid_a_drain_is_replaced(tmp_path: Path, make_pod: MakePod) -> None:
    pod = make_pod()
    with (
        daemon_in(tmp_path) as daemon,
        Connection(pod, receive_buffer=32768) as slow,
    ):
        assert get(daemon.socket, "/healthz")["source"] == "core"
        slow.send("/file", close=True)
        received = len(slow.read(1000))
        hook = pod.exec(wait_argv(daemon.socket, **QUICK))
        eventually(lambda: record_of(daemon.socket, pod).get("rolls"))
        # From now on the kernel refuses to set a watch.
        DaemonMaps(daemon.pid).freeze("watches")
        eventually(lambda: get(daemon.socket, "/healthz")["source"] != "core")
        health = get(daemon.socket, "/healthz")
        assert health["status"] == "degraded"
        assert "cannot change the map watches" in health["refused"]["core"]
        curl = ["curl", "-sS", "--unix-socket", str(daemon.socket), "http://d/metrics"]
        metrics = subprocess.run(curl, capture_output=True, text=True, check=True).stdout
        assert f'drainmon_source_info{{source="{health["source"]}"}} 1.0' in metrics
        assert hook.poll() is None
        received += slow.read_all()
        assert finish(hook)[0] == 0
        assert received > 2_000_000
        assert record_of(daemon.socket, pod)["result"] == "drained"
        assert '"event": "source replaced", ' in daemon.log.read_text()
        eventually(lambda: get(daemon.socket, "/healthz")["source"] == "core", within=20)
        assert get(daemon.socket, "/healthz")["status"] == "ok"
        assert in_flight_is(daemon, pod.netns.inode, 0)


def in_flight_is(daemon: Daemon, netns: int, number: int) -> bool:
    shown: int = pod_in(daemon.socket, netns)["in_flight"]
    return shown == number
