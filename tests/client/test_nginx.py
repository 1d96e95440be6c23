"""The drain without a daemon, in fake pods with a real nginx as pid 1."""

import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.rig.netns import Netns
from bench.rig.pod import FakePod
from tests.client.conftest import BINARIES
from tests.client.run import SLACK, Client, in_time, wait_until

pytestmark = pytest.mark.root

QUICK = ["--socket=/nonexistent", "--min-wait=0.3s", "--quiet=0.2s", "--timeout=20s"]
FILE_BYTES = 20_000
"""Small enough for the kernel to take the whole file from nginx, whatever the client reads."""

SLOW = "location = /slow { limit_rate 20k; root html; try_files /file =404; }"


@pytest.fixture
def pod(outside: Netns, nginx: Path) -> Iterator[FakePod]:
    with FakePod(outside, nginx=nginx, workers=1, server=SLOW, file_bytes=FILE_BYTES) as running:
        yield running


def hook(pod: FakePod, client: Path, *arguments: str) -> Client:
    """The client as the kubelet runs it: in the pod's namespaces, with nginx as pid 1."""
    enter = ["nsenter", f"--target={pod.master_pid}", "--net", "--pid", "--mount", "--"]
    return Client([*enter, str(client), *QUICK, *arguments])


def connect(pod: FakePod, address: str | None = None) -> socket.socket:
    address = address or pod.address
    made = pod.client.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    made.settimeout(10)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect((address, pod.port))
    return made


def keep_alive(pod: FakePod, address: str | None = None) -> socket.socket:
    """A connection that has had its response and stays open, idle."""
    made = connect(pod, address)
    made.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    while not answer.endswith(b"ok\n"):
        answer += made.recv(4096)
    assert b"keep-alive" in answer
    return made


def read_to_end(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


@pytest.mark.parametrize("binary", BINARIES, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("family", ["address", "address6"])
def test_idle_connections_are_closed_by_a_roll(
    outside: Netns, client: Path, binary: Path, family: str
) -> None:
    with FakePod(outside, nginx=binary, workers=2) as pod:
        before = pod.workers()
        with keep_alive(pod, getattr(pod, family)) as idle:
            waiting = hook(pod, client)
            waiting.counts("1 in flight (ESTABLISHED 1)")
            assert idle.recv(1) == b""
        ended = waiting.end()
        assert ended.status == 0, ended.output
        assert "cannot roll" not in ended.output
        wait_until(lambda: pod.workers() - before != set(), "a new worker")
        with keep_alive(pod):  # the listener never closes
            pass


def test_drain_waits_for_a_slow_download(pod: FakePod, client: Path) -> None:
    with connect(pod) as slow:
        slow.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        waiting = hook(pod, client)
        waiting.counts("1 in flight")
        body = read_to_end(slow).partition(b"\r\n\r\n")[2]
        assert len(body) == FILE_BYTES
    assert waiting.end().status == 0


def test_drain_waits_for_the_tail_of_a_slow_reader(pod: FakePod, client: Path) -> None:
    with connect(pod) as slow:
        slow.sendall(b"GET /file HTTP/1.0\r\n\r\n")
        waiting = hook(pod, client)
        # nginx has written everything and closed: only the kernel still holds the connection.
        waiting.line("waiting, 1 in flight (FIN_WAIT1 1)")
        assert waiting.process.poll() is None
        assert len(read_to_end(slow).partition(b"\r\n\r\n")[2]) == FILE_BYTES
        assert waiting.end().status == 0


def test_no_roll_leaves_nginx_alone(pod: FakePod, client: Path) -> None:
    before = pod.workers()
    with keep_alive(pod) as idle:
        ended = hook(pod, client, "--no-roll", "--timeout=0.8s").end()
        assert ended.status == 1
        port = idle.getsockname()[1]
        assert ended.last == f"left: {pod.client_address}:{port} ESTABLISHED, 0 B unsent"
    assert pod.workers() == before


def test_a_straggler_is_closed_by_a_second_roll(pod: FakePod, client: Path) -> None:
    with connect(pod) as slow:
        slow.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        waiting = hook(pod, client, "--verbose", "--timeout=40s")
        waiting.line("new workers have taken over")
        with keep_alive(pod) as straggler:
            waiting.line("sent SIGHUP to nginx 1")
            assert straggler.recv(1) == b""
        slow.close()
        assert waiting.end().status == 0


def test_only_nginxs_ports_are_counted(pod: FakePod, client: Path) -> None:
    with pod.netns.socket() as sidecar, pod.client.socket() as theirs:
        sidecar.bind(("0.0.0.0", 9100))  # noqa: S104 - of the pod's netns
        sidecar.listen()
        theirs.connect((pod.address, 9100))
        waiting = hook(pod, client, "--verbose")
        assert waiting.line("counts on the ports") == "counts on the ports 80"
        assert waiting.end().status == 0


def test_lines_also_go_to_the_containers_log(pod: FakePod, client: Path) -> None:
    ended = hook(pod, client).end()
    assert ended.last.startswith("drained, ")
    logged = [line for line in pod.log().splitlines() if line.startswith("drainmon: ")]
    assert logged == ended.output.splitlines()

    assert hook(pod, client, "--timout=5s").end().status == 2
    assert "drainmon: cannot read the arguments: '--timout=5s' is not known" in pod.log()


def test_lines_appear_once_in_the_containers_log(pod: FakePod, client: Path) -> None:
    with (pod.directory / "container.log").open("ab") as log:
        pod.exec([str(client), *QUICK], output=log).wait()
    assert sum("drained, " in line for line in pod.log().splitlines()) == 1


def test_no_pod_log_keeps_lines_out_of_the_containers_log(pod: FakePod, client: Path) -> None:
    hook(pod, client, "--no-pod-log").end()
    hook(pod, client, "--no-pod-log", "--timout=5s").end()
    assert "drainmon: " not in pod.log()


@pytest.fixture
def bystander(pod: FakePod) -> Iterator[int]:
    """The pid, in the pod, of a process that a SIGHUP or SIGQUIT would end."""
    process = pod.exec(["/bin/sleep", "60"])
    sleep: list[psutil.Process] = []

    def started() -> bool:
        sleep[:] = [child for child in psutil.Process(process.pid).children()
                    if child.name() == "sleep"]  # fmt: skip
        return bool(sleep)

    wait_until(started, "the bystander")
    status = Path(f"/proc/{sleep[0].pid}/status").read_text()
    yield int(next(line for line in status.splitlines() if line.startswith("NSpid")).split()[-1])
    assert process.poll() is None, "the bystander was signalled"
    os.kill(sleep[0].pid, signal.SIGKILL)
    process.wait()


def test_a_process_other_than_nginx_is_never_signalled(
    pod: FakePod, client: Path, bystander: int, tmp_path: Path
) -> None:
    pid_file = tmp_path / "nginx.pid"
    pid_file.write_text(f"{bystander}\n")
    with keep_alive(pod):
        ended = hook(pod, client, f"--pid-file={pid_file}", "--timeout=0.8s").end()
    assert ended.status == 1
    assert f"cannot roll nginx: {pid_file} names no nginx master of this pod" in ended.output


@pytest.mark.parametrize("content", ["", "1x"])
def test_a_pid_file_without_a_process_is_not_rolled(
    pod: FakePod, client: Path, tmp_path: Path, content: str
) -> None:
    pid_file = tmp_path / "nginx.pid"
    pid_file.write_text(content)
    before = pod.workers()
    with keep_alive(pod):
        ended = hook(pod, client, f"--pid-file={pid_file}", "--timeout=0.6s").end()
    assert (ended.status, "cannot roll nginx" in ended.output) == (1, True)
    assert pod.workers() == before


def test_a_pid_file_that_is_a_fifo_does_not_block(
    pod: FakePod, client: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    with keep_alive(pod):
        argv = (f"--pid-file={tmp_path}/fifo", "--timeout=0.6s")
        ended = in_time(0.6, lambda: hook(pod, client, *argv).end())
    assert ended.status == 1


def test_a_pid_file_that_names_a_worker_is_not_rolled(
    pod: FakePod, client: Path, tmp_path: Path
) -> None:
    (worker,) = pod.workers()
    status = Path(f"/proc/{worker}/status").read_text().splitlines()
    inside = next(line for line in status if line.startswith("NSpid")).split()[-1]
    pid_file = tmp_path / "nginx.pid"
    pid_file.write_text(inside)
    with keep_alive(pod):
        ended = hook(pod, client, f"--pid-file={pid_file}", "--timeout=0.8s").end()
    assert (ended.status, "names no nginx master" in ended.output) == (1, True)
    assert pod.workers() == {worker}


def test_the_nginx_of_another_pod_is_not_signalled(
    pod: FakePod, pod_netns: Netns, client: Path, tmp_path: Path
) -> None:
    """A shared pid namespace, and a stale pid file."""
    pid_file = tmp_path / "nginx.pid"
    pid_file.write_text(str(pod.master_pid))
    before = pod.workers()
    with pod_netns.socket() as listener, pod_netns.socket() as theirs:
        listener.bind(("127.0.0.1", 8080))
        listener.listen()
        theirs.connect(("127.0.0.1", 8080))
        argv = [str(client), *QUICK, "--no-pod-log", f"--pid-file={pid_file}", "--timeout=0.8s"]
        ended = Client(pod_netns.command(argv)).end()
    assert (ended.status, "names no nginx master of this pod" in ended.output) == (1, True)
    assert pod.workers() == before


def test_the_end_of_nginx_ends_the_hook(pod: FakePod, client: Path) -> None:
    waiting = hook(pod, client, "--min-wait=5s")
    waiting.line("settling")
    killed = time.monotonic()
    os.kill(pod.master_pid, signal.SIGKILL)
    waiting.end()
    assert time.monotonic() - killed < SLACK


def test_an_unprivileged_hook_drains_without_a_roll(pod: FakePod, client: Path) -> None:
    """The hook reports the failed roll, waits, and counts every listening port."""
    unprivileged = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    enter = ["nsenter", f"--target={pod.master_pid}", "--net", "--pid", "--mount", "--"]
    with keep_alive(pod), tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        copy = shutil.copy(client, directory)
        ended = Client([*enter, *unprivileged, copy, *QUICK, "--timeout=0.8s"]).end()
    assert ended.status == 1
    assert (
        "cannot roll nginx: signal nginx 1: Operation not permitted; only waiting" in ended.output
    )
