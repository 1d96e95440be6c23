"""nginx is stopped by another program while the client waits for its drain."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bench.rig import nginx as nginx_binaries
from bench.rig.netns import Netns
from tests.client.fake_daemon import Conversation, FakeDaemon
from tests.client.long_download import FILE_BYTES, download, folder, hook, serving
from tests.client.rolling import rest
from tests.client.run import SLACK, run, wait_until
from tests.e2e.plain_nginx import PlainNginx

__all__ = ["folder"]

LONG = ["--min-wait=15s", "--no-roll"]
"""A client that ends before min-wait has noticed nginx's end."""


@pytest.fixture
def nginx(pod_netns: Netns, folder: Path) -> Iterator[PlainNginx]:
    running = PlainNginx(pod_netns, folder / "n", listen=serving(8080, folder))
    yield running
    running.close()


@pytest.mark.root
def test_a_cut_download_fails_the_drain(pod_netns: Netns, nginx: PlainNginx, client: Path) -> None:
    with download(pod_netns) as going_on:
        waiting = hook(pod_netns, client, *LONG)
        waiting.counts("1 in flight")
        nginx.signal(signal.SIGTERM)
        assert rest(going_on) < FILE_BYTES
    ended = waiting.end()
    assert ended.status == 1
    assert ended.last.startswith("cut, 0 in flight, ")
    assert ended.last.endswith(" s: nginx was stopped while connections were in flight: 1")


@pytest.mark.root
def test_nginx_ending_with_nothing_in_flight_ends_the_drain_at_once(
    pod_netns: Netns, nginx: PlainNginx, client: Path
) -> None:
    waiting = hook(pod_netns, client, *LONG)
    waiting.counts("0 in flight")
    nginx.signal(signal.SIGTERM)
    ended = waiting.end()
    assert ended.status == 0
    assert ended.last.startswith("gone, 0 in flight, ")
    assert ended.last.endswith(" s: nginx has ended")
    assert ended.seconds < 2 + SLACK


@pytest.mark.root
def test_an_nginx_that_quits_after_its_last_connection_is_not_cut(
    pod_netns: Netns, nginx: PlainNginx, client: Path
) -> None:
    with download(pod_netns) as going_on:
        waiting = hook(pod_netns, client, "--min-wait=1s", "--verbose")
        waiting.counts("1 in flight")
        nginx.signal(signal.SIGQUIT)
        waiting.line("does not roll nginx: it quits")
        assert rest(going_on) > FILE_BYTES
    ended = waiting.end()
    assert ended.status == 0
    assert ended.last.split(",")[0] in {"drained", "gone"}  # whichever the look finds


@pytest.mark.root
def test_drain_waits_for_data_that_a_stopped_nginx_left_in_the_kernel(
    pod_netns: Netns, nginx: PlainNginx, client: Path
) -> None:
    with download(pod_netns) as unread:
        waiting = hook(pod_netns, client, *LONG)
        waiting.counts("1 in flight (ESTABLISHED 1)")
        nginx.signal(signal.SIGTERM)
        waiting.line("waiting, 1 in flight (FIN_WAIT1 1)")
        rest(unread)
    ended = waiting.end()
    assert (ended.status, ended.last.split(",")[0]) == (1, "cut")


@pytest.mark.root
def test_workers_that_outlive_their_master_are_not_cut(
    pod_netns: Netns, nginx: PlainNginx, client: Path
) -> None:
    workers = nginx.workers()
    try:
        with download(pod_netns) as going_on:
            waiting = hook(pod_netns, client, "--no-roll")
            waiting.counts("1 in flight")
            nginx.signal(signal.SIGKILL)
            nginx.wait()
            waiting.line("waiting, 1 in flight (ESTABLISHED 1)")
            assert rest(going_on) > FILE_BYTES
        ended = waiting.end()
        assert (ended.status, ended.last.split(",")[0]) == (0, "drained")
    finally:
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


@pytest.fixture
def daemonized(pod_netns: Netns, tmp_path: Path) -> Iterator[Path]:
    """The pid file of a daemonized nginx, which may replace itself."""
    config, pid_file = tmp_path / "nginx.conf", tmp_path / "pid"
    config.write_text(
        f"user root; pid {pid_file}; error_log stderr; events {{}}"
        " http { access_log off; server { listen 8080; } }\n"
    )
    argv = [str(nginx_binaries.choose()), "-e", "stderr", "-c", str(config)]
    subprocess.run(pod_netns.command(argv), check=True)
    wait_until(lambda: pid_of(pid_file) != 0, "nginx")
    yield pid_file
    os.kill(pid_of(pid_file), signal.SIGTERM)
    wait_until(lambda: not pid_file.exists(), "nginx's end")


def pid_of(pid_file: Path) -> int:
    return int(pid_file.read_text() or 0) if pid_file.exists() else 0


@pytest.mark.root
def test_a_binary_upgrade_is_not_taken_for_the_end_of_nginx(
    pod_netns: Netns, daemonized: Path, client: Path
) -> None:
    old = pid_of(daemonized)
    waiting = hook(pod_netns, client, "--min-wait=1.5s")
    waiting.counts("0 in flight")
    os.kill(old, signal.SIGUSR2)
    wait_until(lambda: pid_of(daemonized) not in {0, old}, "the new binary")
    os.kill(old, signal.SIGQUIT)
    wait_until(lambda: not Path(f"/proc/{old}/exe").exists(), "the old one's end")
    ended = waiting.end()
    assert (ended.status, ended.last.split(",")[0]) == (0, "drained")


def test_a_cut_that_the_daemon_reports_fails_the_drain(client: Path, socket_path: Path) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head()
        daemon.line(result="cut", in_flight=2, reason="nginx was stopped")

    with FakeDaemon(socket_path, script):
        ended = run(client, f"--socket={socket_path}", "--on-missing=fail")
    assert ended.status == 1
    assert ended.last.startswith("cut, 2 in flight, ")
    assert ended.last.endswith(" s: nginx was stopped")
