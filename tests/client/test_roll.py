"""A roll without a reload: workers quit in two groups, and one worker always accepts."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from bench.rig import nginx as nginx_binaries
from bench.rig.netns import Netns
from tests.client.pod import REFUSE
from tests.client.rolling import QUICK, Nginx, pending, rest, stopped
from tests.client.run import Client, wait_until

pytestmark = pytest.mark.root


@pytest.fixture
def nginx(pod_netns: Netns, tmp_path: Path) -> Iterator[Nginx]:
    running = Nginx(pod_netns, tmp_path / "n", workers=3)
    yield running
    running.close()


class Asking:
    """A client that sends requests continuously, beside the drain."""

    def __init__(self, nginx: Nginx) -> None:
        self._nginx = nginx
        self._over = threading.Event()
        self.failed: list[OSError] = []
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self._over.wait(0.02):
            try:
                self._nginx.request().close()
            except OSError as error:
                self.failed.append(error)

    def __enter__(self) -> "Asking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_workers_quit_in_two_groups_and_one_always_accepts(nginx: Nginx, client: Path) -> None:
    before = sorted(nginx.workers())
    idle = [nginx.request_to(worker) for worker in before]
    with Asking(nginx) as asking:
        waiting = nginx.hook(client, "--timeout=6s")
        waiting.line("new workers have taken over")
    ended = waiting.end()
    for connection in idle:
        assert rest(connection) < 4096
        connection.close()
    assert (ended.status, asking.failed) == (0, [])
    assert ", roll: quit, " in ended.last
    assert not nginx.signalled(signal.SIGHUP)
    first, last = nginx.signalled(signal.SIGQUIT)[:2], nginx.signalled(signal.SIGQUIT)[2]
    assert (set(first), last) == (set(before[:2]), before[2])
    log = nginx.log()
    replacement = log.index("start worker process ", log.index("signal 3 ("))
    assert replacement < log.index(f"{last}#{last}: signal 3 (")


def test_the_last_accepting_worker_is_not_signalled(nginx: Nginx, client: Path) -> None:
    """Downloads hold all other workers, so no replacement starts."""
    *others, last = sorted(nginx.workers())
    downloads = [nginx.request_to(worker, "/slow") for worker in others]
    idle = nginx.request_to(last)
    waiting = nginx.hook(client)
    assert ", roll: quit, " in waiting.line("rolling, 3 in flight")
    wait_until(lambda: set(nginx.signalled(signal.SIGQUIT)) == set(others), "the signals")
    with nginx.request():
        pass
    assert rest(downloads[0]) > 0
    assert rest(idle) < 4096  # the first replacement has started
    assert rest(downloads[1]) > 0
    for connection in (*downloads, idle):
        connection.close()
    assert waiting.end().status == 0
    assert nginx.signalled(signal.SIGQUIT)[-1] == last


def test_drain_does_not_wait_for_an_unfinished_roll(nginx: Nginx, client: Path) -> None:
    *others, last = sorted(nginx.workers())
    idle = nginx.request_to(last)
    with stopped(set(others)):
        waiting = nginx.hook(client)
        waiting.line("rolling, 1 in flight")
        wait_until(lambda: all(pending(pid, signal.SIGQUIT) for pid in others), "the signals")
        idle.close()
        ended = waiting.end()
    assert (ended.status, ended.last.split(",")[0]) == (0, "drained")
    wait_until(lambda: set(nginx.signalled(signal.SIGQUIT)) == set(others), "the others' end")


def test_workers_that_do_not_react_fail_the_drain(nginx: Nginx, client: Path) -> None:
    workers = nginx.workers()
    idle = nginx.request()
    with stopped(workers):
        ended = nginx.hook(client).end()
        assert nginx.workers() > workers  # the workers of a reload
    idle.close()
    assert ended.status == 1
    (said,) = (line for line in ended.lines if line.startswith("stuck, "))
    assert said.startswith("stuck, 1 in flight (ESTABLISHED 1), roll: failed (nginx's workers do")
    assert said.endswith(" s: nginx's workers do not react")
    assert ended.last.startswith("left: 127.0.0.1:")
    assert 10 < ended.seconds < 20


@pytest.mark.parametrize(
    "without", [["pidfd_open", "EPERM"], ["pidfd_open", "ENOSYS"], ["pidfd_send_signal", "EPERM"]]
)
def test_a_roll_works_without_pidfds(nginx: Nginx, client: Path, without: list[str]) -> None:
    before = nginx.workers()
    idle = [nginx.request_to(worker) for worker in before]
    ended = nginx.hook(client, under=(sys.executable, REFUSE, *without, "--")).end()
    for connection in idle:
        connection.close()
    assert ended.status == 0, ended.output
    assert set(nginx.signalled(signal.SIGQUIT)) == before


@pytest.fixture
def upgraded(pod_netns: Netns, tmp_path: Path) -> Iterator[tuple[int, int]]:
    """The masters, old and new, of an nginx amid a binary upgrade."""
    config, pid_file = tmp_path / "nginx.conf", tmp_path / "pid"
    config.write_text(
        f"user root; worker_processes 2; pid {pid_file}; error_log {tmp_path}/log notice;"
        ' events {} http { access_log off; server { listen 8080; location / { return 200 "ok"; } }'
        " }\n"
    )

    def pid() -> int:
        return int(pid_file.read_text() or 0) if pid_file.exists() else 0

    argv = [str(nginx_binaries.choose()), "-e", "stderr", "-c", str(config)]
    subprocess.run(pod_netns.command(argv), check=True)
    wait_until(lambda: pid() != 0, "nginx")
    old = pid()
    os.kill(old, signal.SIGUSR2)
    wait_until(lambda: pid() not in {0, old}, "the new binary")
    new = pid()
    wait_until(lambda: len(workers_of(new)) == 2, "its workers")
    yield old, new
    for master in (new, old):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(master)
            process.terminate()
            process.wait(10)


def workers_of(master: int) -> set[int]:
    """The serving workers of a master."""
    found = set()
    for child in psutil.Process(master).children():
        with suppress(psutil.NoSuchProcess):
            if " ".join(child.cmdline()).rstrip() == "nginx: worker process":
                found.add(child.pid)
    return found


@pytest.mark.parametrize("winch", [False, True])
@pytest.mark.parametrize("named", ["", "pid", "pid.oldbin"])
def test_both_masters_of_a_binary_upgrade_are_rolled(
    pod_netns: Netns, upgraded: tuple[int, int], client: Path, tmp_path: Path, winch: bool,
    named: str,
) -> None:  # fmt: skip
    old, new = upgraded
    if winch:
        os.kill(old, signal.SIGWINCH)
        wait_until(lambda: not workers_of(old), "WINCH")
    before = workers_of(old) | workers_of(new)
    idle = []
    for worker in before:
        with stopped(before - {worker}):
            idle.append(pod_netns.socket())
            idle[-1].settimeout(10)
            idle[-1].connect(("127.0.0.1", 8080))
            idle[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"ok" in idle[-1].recv(4096)
    file = [f"--pid-file={tmp_path}/{named}"] if named else []
    waiting = Client(pod_netns.command([str(client), *QUICK, *file]))
    for connection in idle:
        assert connection.recv(1) == b""
        connection.close()
    ended = waiting.end()
    assert ended.status == 0, ended.output
    assert not (workers_of(old) | workers_of(new)) & before
    assert bool(workers_of(old)) != winch
    assert "SIGHUP" not in (tmp_path / "log").read_text()
