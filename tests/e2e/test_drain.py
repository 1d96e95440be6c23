"""A real nginx, daemon and client: what a drain waits for, and when it ends."""

import json
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig.clients import LoadSpec
from bench.rig.daemon import running_daemon
from bench.rig.netns import Netns
from bench.rig.outcome import Kind
from bench.rig.pod import FakePod
from bench.rig.traffic import Traffic
from drainmon.cli.client import get
from tests.e2e.api import pod_in, record_of, records_among
from tests.e2e.connections import Connection
from tests.e2e.harness import DAEMON, Daemon, MakePod, daemon_in, finish, listed, wait_argv
from tests.waiting import eventually

pytestmark = pytest.mark.root

FILE = 2_000_000


def in_flight(daemon: Daemon, pod: FakePod) -> int | None:
    return pod_in(daemon.socket, pod.netns.inode).get("in_flight")


def test_a_slow_reader_gets_every_byte_before_the_network_is_gone(
    daemon: Daemon, make_pod: MakePod, nginx: Path
) -> None:
    pod = make_pod(nginx=nginx, file_bytes=FILE)
    received: list[int] = []
    with Connection(pod, receive_buffer=32768) as slow:
        slow.send("/file", close=True)
        first = len(slow.read(1000))

        def trickle() -> None:
            total = first
            while data := slow.read(40_000):
                total += len(data)
                time.sleep(0.02)  # the slowness of this reader, not a wait
            received.append(total)

        reader = threading.Thread(target=trickle)
        reader.start()
        ended = pod.terminate(wait_argv(daemon.socket, min_wait="0.3s", quiet="0.2s"))
        reader.join()
    assert ended.hook_exit == 0
    assert received[0] > FILE
    assert "FIN_WAIT1" in ended.output or "ESTABLISHED" in ended.output


def test_late_arrivals_at_200_a_second_lose_nothing(
    daemon: Daemon, client_netns: Netns, make_pod: MakePod, nginx: Path
) -> None:
    pod = make_pod(nginx=nginx)
    spec = LoadSpec(
        pod.address, pod.port, short_rate=200, endless=0, slow_readers=0, slow_upstream=0,
        keep_alive=0, propagation=3.0,
    )  # fmt: skip
    with Traffic(client_netns, spec) as traffic:
        eventually(lambda: traffic.totals.requests() > 50)
        traffic.terminate()
        ended = pod.terminate(wait_argv(daemon.socket, min_wait="3.2s", quiet="0.5s"))
        totals = traffic.wait()
    assert ended.hook_exit == 0
    assert totals.requests(Kind.SHORT) > 100  # of 800; emulated machines reach 140
    assert totals.lost() == 0


def test_a_daemon_started_after_the_connections_counts_them(
    tmp_path: Path, make_pod: MakePod, nginx: Path
) -> None:
    pod = make_pod(nginx=nginx)
    daemon = Daemon(tmp_path)
    with ExitStack() as stack:
        idle = [stack.enter_context(Connection(pod)) for _ in range(3)]
        for connection in idle:
            assert b"200 OK" in connection.get()
        slow = stack.enter_context(Connection(pod, receive_buffer=32768))
        slow.send("/file", close=True)
        slow.read(1000)
        stack.enter_context(running_daemon(DAEMON, daemon.socket, daemon.log))
        assert in_flight(daemon, pod) == 4
        hook = pod.exec(wait_argv(daemon.socket, min_wait="0.2s", quiet="0.1s"))
        for connection in idle:
            assert connection.read() == b""
            connection.close()
        assert hook.poll() is None
        slow.read_all()
        status, output = finish(hook)
    assert status == 0, output


def test_two_pods_drain_independently(daemon: Daemon, make_pod: MakePod) -> None:
    busy, idle = make_pod(), make_pod()
    with Connection(busy, receive_buffer=32768) as slow, Connection(idle) as other:
        slow.send("/file", close=True)
        slow.read(1000)
        assert other.get()
        flags = {"min_wait": "0.2s", "quiet": "0.1s"}
        holding = busy.exec(wait_argv(daemon.socket, **flags))
        free = idle.exec(wait_argv(daemon.socket, **flags))
        assert other.read() == b""
        other.close()
        assert finish(free)[0] == 0
        assert holding.poll() is None
        slow.read_all()
        assert finish(holding)[0] == 0
    assert (
        record_of(daemon.socket, busy)["result"]
        == record_of(daemon.socket, idle)["result"]
        == "drained"
    )


def test_idle_connections_are_closed_by_rolling(
    daemon: Daemon, make_pod: MakePod, nginx: Path
) -> None:
    pod = make_pod(nginx=nginx)
    before = pod.workers()
    with Connection(pod) as connection:
        assert connection.get()
        hook = pod.exec(wait_argv(daemon.socket, min_wait="0.2s", quiet="0.1s"))
        assert connection.read() == b""
        assert finish(hook)[0] == 0
    eventually(lambda: pod.workers() and not before <= pod.workers())
    record = record_of(daemon.socket, pod)
    assert (len(record["rolls"]), record["roll"]) == (1, "quit")


def test_every_drain_is_logged_as_its_record(tmp_path: Path, make_pod: MakePod) -> None:
    with daemon_in(tmp_path) as daemon:
        pod = make_pod()
        for _ in range(2):
            assert finish(pod.exec(wait_argv(daemon.socket, min_wait="0", quiet="0")))[0] == 0
        records = get(daemon.socket, "/v1/drains")["drains"]
    lines = map(json.loads, daemon.log.read_text().splitlines())
    logged = [line["drain"] for line in lines if line["event"] == "drain ended"]
    assert len(logged) == 2
    assert logged == records[::-1]


def test_a_roll_does_not_read_a_broken_configuration(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    pod.config.write_text("nonsense;")
    with Connection(pod) as connection:
        assert connection.get()
        hook = pod.exec(wait_argv(daemon.socket, min_wait="0.2s", quiet="0.1s"))
        assert connection.read() == b""
        status, output = finish(hook)
    assert status == 0, output
    assert "emerg" not in pod.log()


def test_no_roll_leaves_nginx_alone(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    before = pod.workers()
    with Connection(pod) as connection:
        assert connection.get()
        hook = pod.exec(
            wait_argv(daemon.socket, min_wait="0.1s", quiet="0.1s", timeout="1s", no_roll=True)
        )
        status, output = finish(hook)
    assert status == 1
    assert "ESTABLISHED" in output
    assert pod.workers() == before


def test_the_deadline_names_the_remaining_connections(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    with Connection(pod, receive_buffer=32768) as slow:
        slow.send("/file", close=True)
        slow.read(1000)
        began = time.monotonic()
        hook = pod.exec(wait_argv(daemon.socket, min_wait="0.1s", quiet="0.1s", timeout="4s"))
        status, output = finish(hook)
        assert time.monotonic() - began < 5
        assert status == 1
        assert pod.client_address in output
    record = record_of(daemon.socket, pod)
    assert record["result"] == "deadline"
    assert record["remaining"][0]["remote"].startswith(pod.client_address)


def test_a_connection_that_is_never_used_does_not_hold_the_drain(
    daemon: Daemon, make_pod: MakePod
) -> None:
    pod = make_pod()
    with Connection(pod):
        hook = pod.exec(wait_argv(daemon.socket, min_wait="0.1s", quiet="0.1s", timeout="10s"))
        status, output = finish(hook)
    assert status == 0, output
    assert record_of(daemon.socket, pod)["seconds"] < 5


def test_two_callers_share_one_drain(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    with Connection(pod, receive_buffer=32768) as slow:
        slow.send("/file", close=True)
        slow.read(1000)
        flags = {"min_wait": "0.1s", "quiet": "0.1s"}
        patient = pod.exec(wait_argv(daemon.socket, **flags))
        eventually(lambda: record_of(daemon.socket, pod))
        hasty = pod.exec(wait_argv(daemon.socket, timeout="1s", **flags))
        assert finish(hasty)[0] == 1
        assert patient.poll() is None
        slow.read_all()
        assert finish(patient)[0] == 0
    assert len(records_among(get(daemon.socket, "/v1/drains")["drains"], pod.netns)) == 1


def test_a_drain_without_clients_is_abandoned(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    hook = pod.exec(wait_argv(daemon.socket))
    eventually(lambda: record_of(daemon.socket, pod))
    for child in _children(hook.pid):
        os.kill(child, signal.SIGKILL)
    hook.wait()
    eventually(lambda: record_of(daemon.socket, pod)["result"] == "abandoned")


def _children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children] or [pid]


def test_curl_can_drain(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    hook = pod.exec(
        ["/usr/bin/curl", "-sSN", "--unix-socket", str(daemon.socket), "-X", "POST",
         "-d", '{"min_wait": 0.2, "quiet": 0.1}', "http://drainmon/v1/self/drain"]
    )  # fmt: skip
    status, output = finish(hook)
    assert status == 0
    assert json.loads(output.splitlines()[-1])["result"] == "drained"


def test_ipv6_connections_are_counted_as_by_ss(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    with ExitStack() as stack:
        for address in (pod.address, pod.address6, pod.address6):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            connection = stack.enter_context(pod.client.socket(family))
            connection.connect((address, pod.port))
        assert listed(pod.netns, pod.port) == 3
        eventually(lambda: in_flight(daemon, pod) == 3)


def test_without_a_daemon_the_client_drains_alone(
    tmp_path: Path, make_pod: MakePod, nginx: Path
) -> None:
    pod = make_pod(nginx=nginx)
    with Connection(pod) as idle, Connection(pod, receive_buffer=32768) as slow:
        assert idle.get()
        slow.send("/file", close=True)
        received = len(slow.read(1000))
        hook = pod.exec(wait_argv(tmp_path / "none.sock", min_wait="0.3s", quiet="0.2s"))
        assert idle.read() == b""
        idle.close()
        assert hook.poll() is None
        assert received + slow.read_all() > FILE
        status, output = finish(hook)
    assert status == 0, output


def test_a_drain_survives_a_restart_of_the_daemon(tmp_path: Path, make_pod: MakePod) -> None:
    pod = make_pod()
    daemon = Daemon(tmp_path)
    with Connection(pod, receive_buffer=32768) as slow:
        slow.send("/file", close=True)
        received = len(slow.read(1000))
        with running_daemon(DAEMON, daemon.socket, daemon.log):
            hook = pod.exec(wait_argv(daemon.socket, min_wait="0.2s", quiet="0.1s"))
            eventually(lambda: get(daemon.socket, "/v1/drains")["drains"])
        assert hook.poll() is None
        with running_daemon(DAEMON, daemon.socket, daemon.log):
            eventually(lambda: get(daemon.socket, "/v1/drains")["drains"])
            assert hook.poll() is None
            assert received + slow.read_all() > FILE
            status, output = finish(hook)
    assert status == 0, output
