"""The daemon's start and end: errors, log lines, and cleanup."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from bench.rig.daemon import healthy, running_daemon
from bench.rig.netns import Netns
from drainmon.cli.client import get
from tests.e2e.api import pod_in
from tests.e2e.harness import DAEMON, SERVE, Daemon, MakePod, finish
from tests.waiting import eventually

pytestmark = pytest.mark.root


def refuse(*argv: str, within: float = 20.0) -> str:
    """The error of a daemon that must not start."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=within, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_second_daemon_does_not_take_the_socket(daemon: Daemon) -> None:
    said = refuse(*SERVE, "--socket", str(daemon.socket))
    assert said == f"drainmon: cannot listen on {daemon.socket}: another daemon listens there"
    assert healthy(daemon.socket)


def test_a_file_at_the_sockets_path_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    said = refuse(*SERVE, "--socket", str(path))
    assert said == f"drainmon: cannot listen on {path}: the path is not a socket"
    assert path.read_text() == "precious"


def test_a_web_address_in_use_ends_the_daemon(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        path = tmp_path / "drainmon.sock"
        said = refuse(*SERVE, "--socket", str(path), "--listen", address)
    assert said == f"drainmon: cannot listen on {address}: Address already in use"
    assert not path.exists()


SEE = "--bounding-set=-all,+sys_ptrace,+dac_read_search"
DROP = ["setpriv", SEE, "--inh-caps=-all", "--ambient-caps=-all"]
"""Root that may inspect processes, and nothing more."""

HIDE_BTF = [
    "unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "sh",
]  # fmt: skip


def test_core_without_privileges_names_the_missing_capabilities(tmp_path: Path) -> None:
    path = tmp_path / "drainmon.sock"
    argv = [*DROP, *SERVE, "--source", "core", "--socket", str(path)]
    said = refuse(*argv)
    assert said.startswith("drainmon: cannot load drainmon.bpf.o: Operation not permitted")
    assert said.endswith("; missing SYS_ADMIN, KILL")
    assert not path.exists()


def test_core_without_btf_names_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "drainmon.sock"
    argv = [*HIDE_BTF, *SERVE, "--source", "core", "--socket", str(path)]
    said = refuse(*argv)
    assert said.startswith("drainmon: cannot load drainmon.bpf.o: the kernel has no BTF")


@pytest.mark.parametrize(
    ("wrap", "source", "why"),
    [(DROP, "procfs", "Operation not permitted"), (HIDE_BTF, "bcc", "the kernel has no BTF")],
)
def test_the_next_source_is_used_and_the_reason_reported(
    tmp_path: Path, wrap: list[str], source: str, why: str
) -> None:
    daemon = Daemon(tmp_path)
    argv = [*wrap, *SERVE, "--socket", str(daemon.socket)]
    with daemon.log.open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as process:
        try:
            eventually(lambda: healthy(daemon.socket), within=20)
            health = get(daemon.socket, "/healthz")
        finally:
            process.terminate()
    assert (health["status"], health["source"]) == ("degraded", source)
    assert why in health["refused"]["core"]
    assert '"event": "cannot use source", ' in daemon.log.read_text()


def test_a_caller_in_a_hidden_pid_namespace_is_refused(tmp_path: Path) -> None:
    # A daemon in its own PID namespace sees callers from outside as pid 0.
    daemon = Daemon(tmp_path)
    log = daemon.log.open("wb")
    argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    process = subprocess.Popen(
        [*argv, *SERVE, "--socket", str(daemon.socket)], stdout=log, stderr=log
    )
    try:
        eventually(daemon.socket.exists)
        answer = _curl(daemon, "/v1/self")
        assert "cannot identify the caller" in answer
        assert "hostPID" in answer
        assert '"status":"ok"' in _curl(daemon, "/healthz")
    finally:
        process.kill()
        process.wait()
        log.close()


def _curl(daemon: Daemon, path: str) -> str:
    return subprocess.run(
        ["curl", "-sS", "--max-time", "10", "--unix-socket", daemon.socket, f"http://d{path}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopping_daemon_removes_its_socket(tmp_path: Path, number: signal.Signals) -> None:
    daemon = Daemon(tmp_path)
    with daemon.log.open("wb") as log:
        process = subprocess.Popen([*SERVE, "--socket", daemon.socket], stdout=log, stderr=log)
        eventually(lambda: healthy(daemon.socket))
        process.send_signal(number)
        assert process.wait(5) == 0
    assert not daemon.socket.exists()
    events = [json.loads(line)["event"] for line in daemon.log.read_text().splitlines()]
    assert events == ["serving", "stopping"]


def test_a_killed_daemons_socket_is_replaced(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    with daemon.log.open("wb") as log:
        process = subprocess.Popen([*SERVE, "--socket", daemon.socket], stdout=log, stderr=log)
        eventually(lambda: healthy(daemon.socket))
        process.kill()
        process.wait()
    assert daemon.socket.is_socket()
    with running_daemon(DAEMON, daemon.socket, daemon.log):
        assert healthy(daemon.socket)


def test_a_pod_cannot_read_other_pods(daemon: Daemon, netns: Netns) -> None:
    for path in ("/v1/pods", "/v1/drains"):
        curl = ["curl", "-sS", "--unix-socket", str(daemon.socket), f"http://d{path}"]
        with subprocess.Popen(netns.command(curl), stdout=subprocess.PIPE) as process:
            assert "only root of the host may" in finish(process)[1]


def test_processes_of_other_names_are_found(tmp_path: Path, netns: Netns) -> None:
    daemon = Daemon(tmp_path)
    flags = ["--process", "nginx", "--process", "python3"]
    code = "import socket, time; s = socket.create_server(('127.0.0.1', 99)); time.sleep(60)"
    with running_daemon(DAEMON, daemon.socket, daemon.log, flags):
        server = subprocess.Popen(netns.command(["/usr/bin/python3", "-c", code]))
        try:
            eventually(lambda: f'"netns":{netns.inode},"ports":[99]' in _curl(daemon, "/v1/pods"))
        finally:
            server.kill()
            server.wait()


@pytest.mark.core
def test_status_prints_a_table(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    eventually(lambda: pod_in(daemon.socket, pod.netns.inode))
    environment = os.environ | {"DRAINMON_SOCKET": str(daemon.socket)}
    done = subprocess.run(
        [DAEMON, "status"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("source core, drainmon ")
    assert "POD" in done.stdout
