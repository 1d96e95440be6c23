"""Drains in special cases: no nginx left, a daemon just started or stopping, several clients."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from bench.rig.daemon import healthy, running_daemon
from bench.rig.netns import Netns
from drainmon.cli.client import get
from tests.e2e.api import pod_in, record_of
from tests.e2e.connections import Connection
from tests.e2e.harness import DAEMON, SERVE, Daemon, MakePod, finish, wait_argv
from tests.waiting import eventually

pytestmark = pytest.mark.root

QUICK = {"min_wait": "0.1s", "quiet": "0.1s", "timeout": "20s"}


def test_drain_waits_for_the_tail_of_an_nginx_that_has_ended(
    daemon: Daemon, make_pod: MakePod
) -> None:
    pod = make_pod(file_bytes=500_000)
    with Connection(pod, receive_buffer=32768) as slow:
        slow.send("/file", close=True)
        received = len(slow.read(1000))
        eventually(lambda: pod_in(daemon.socket, pod.netns.inode))
        psutil.Process(pod.master_pid).kill()
        eventually(lambda: not psutil.pid_exists(pod.master_pid))
        # A sidecar's hook, which starts after nginx has gone.
        argv = pod.netns.command(wait_argv(daemon.socket, **QUICK))
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as hook:
            eventually(lambda: record_of(daemon.socket, pod).get("peak_in_flight") == 1)
            assert hook.poll() is None
            received += slow.read_all()
            assert finish(hook)[0] == 0
    assert received > 100_000


def test_an_nginx_by_another_name_is_drained_without_rolling(daemon: Daemon, netns: Netns) -> None:
    code = (
        "import socket; s = socket.create_server(('127.0.0.1', 80));"
        "a = s.accept()[0]; a.recv(9); print('served', flush=True); a.recv(9)"
    )
    argv = netns.command([sys.executable, "-c", code])
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as server, netns.socket() as connection:
        eventually(lambda: not connection.connect_ex(("127.0.0.1", 80)))
        connection.send(b"request")
        assert server.stdout
        server.stdout.readline()
        hook = subprocess.Popen(
            netns.command(wait_argv(daemon.socket, **QUICK)), stdout=subprocess.PIPE
        )
        assert hook.stdout
        while b"waiting, 1 in flight" not in (line := hook.stdout.readline()):
            assert line
        assert hook.poll() is None
        connection.close()
        assert finish(hook)[0] == 0


def test_a_new_daemon_requires_the_quiet_period(tmp_path: Path, make_pod: MakePod) -> None:
    pod = make_pod()
    daemon = Daemon(tmp_path)
    with running_daemon(DAEMON, daemon.socket, daemon.log):
        began = time.monotonic()
        options = json.dumps({"min_wait": 0, "quiet": 2.0, "elapsed": 6.0})
        curl = ["curl", "-sSN", "--unix-socket", str(daemon.socket), "-d", options]
        argv = pod.netns.command([*curl, "http://d/v1/self/drain"])
        done = subprocess.run(argv, capture_output=True, check=True)
        assert json.loads(done.stdout.splitlines()[-1])["result"] == "drained"
        assert time.monotonic() - began > 1.0


def test_the_stricter_of_two_clients_decides_the_drains_end(
    daemon: Daemon, make_pod: MakePod
) -> None:
    pod = make_pod()
    with Connection(pod, receive_buffer=32768) as slow:
        slow.send("/file", close=True)
        received = len(slow.read(1000))
        lenient = pod.exec(
            wait_argv(daemon.socket, min_wait="0.1s", quiet="0.1s", timeout="2s", exit_at=0)
        )
        eventually(lambda: record_of(daemon.socket, pod))
        strict = pod.exec(wait_argv(daemon.socket, min_wait="0.5s", quiet="0.1s", timeout="20s"))
        assert finish(lenient)[0] == 1
        assert strict.poll() is None
        assert received + slow.read_all() > 2_000_000
        assert finish(strict)[0] == 0
    assert record_of(daemon.socket, pod)["result"] == "drained"


def test_each_client_has_its_own_exit_at(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    with Connection(pod, receive_buffer=32768) as slow:
        slow.send("/file", close=True)
        received = len(slow.read(1000))
        strict = pod.exec(wait_argv(daemon.socket, **QUICK))
        eventually(lambda: record_of(daemon.socket, pod))
        status, output = finish(pod.exec(wait_argv(daemon.socket, exit_at=1, **QUICK)))
        assert status == 0
        assert "at most exit-at connections are in flight" in output
        assert strict.poll() is None
        assert received + slow.read_all() > 2_000_000
        assert finish(strict)[0] == 0


def test_options_of_a_client_end_with_its_connection(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    strict = pod.exec(
        ["/usr/bin/curl", "-sN", "--unix-socket", str(daemon.socket), "-d", '{"min_wait": 15}',
         "http://drainmon/v1/self/drain"]
    )  # fmt: skip
    eventually(lambda: record_of(daemon.socket, pod))
    lenient = pod.exec(wait_argv(daemon.socket, **QUICK))
    eventually(lambda: record_of(daemon.socket, pod)["seconds"] > 0.5)
    assert lenient.poll() is None
    for child in psutil.Process(strict.pid).children() or [psutil.Process(strict.pid)]:
        child.kill()
    assert finish(lenient)[0] == 0
    record = record_of(daemon.socket, pod)
    assert (record["result"], record["min_wait"]) == ("drained", 15)
    assert record["seconds"] < 14


def test_a_stopping_daemon_leaves_its_successors_socket(tmp_path: Path, make_pod: MakePod) -> None:
    pod = make_pod()
    daemon = Daemon(tmp_path)
    with daemon.log.open("wb") as log, Connection(pod) as connection:
        argv = [*SERVE, "--socket", str(daemon.socket)]
        first = subprocess.Popen(argv, stdout=log, stderr=log)
        eventually(lambda: healthy(daemon.socket))
        assert connection.get()
        hook = pod.exec(wait_argv(daemon.socket, no_roll=True, **QUICK))
        eventually(lambda: get(daemon.socket, "/v1/drains")["drains"])
        first.terminate()
        eventually(lambda: not daemon.socket.exists())
        second = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            assert first.wait(5) == 0
            eventually(lambda: healthy(daemon.socket))
            connection.close()
            assert finish(hook)[0] == 0
        finally:
            second.terminate()
            assert second.wait(5) == 0
    assert not daemon.socket.exists()


def test_many_pods_roll_at_once(daemon: Daemon, make_pod: MakePod) -> None:
    pods = [make_pod(workers=1) for _ in range(8)]
    connections = [Connection(pod) for pod in pods]
    results: list[int] = []
    threads = []
    for pod, connection in zip(pods, connections, strict=True):
        assert connection.get()
        hook = pod.exec(wait_argv(daemon.socket, **QUICK))
        threads.append(threading.Thread(target=lambda h=hook: results.append(finish(h)[0])))
        threads[-1].start()
    for thread, connection in zip(threads, connections, strict=True):
        assert connection.read() == b""
        connection.close()
        thread.join()
    assert results == [0] * len(pods)
    assert max(record_of(daemon.socket, pod)["seconds"] for pod in pods) < 10
