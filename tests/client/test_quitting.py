"""nginx that no longer listens where it still serves: it quits, was reloaded, or has ended."""

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.rig.netns import Netns
from tests.client.long_download import (
    FILE_BYTES,
    QUICK,
    download,
    folder,
    hook,
    refuses,
    serving,
    sidecar,
)
from tests.client.rolling import rest
from tests.client.run import Client, wait_until
from tests.e2e.plain_nginx import PlainNginx

__all__ = ["folder", "sidecar"]

pytestmark = pytest.mark.root

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.fixture
def nginx(pod_netns: Netns, folder: Path) -> Iterator[PlainNginx]:
    running = PlainNginx(pod_netns, folder / "n", listen=serving(8080, folder))
    yield running
    running.close()


def quit_at_work(nginx: PlainNginx, where: Netns) -> socket.socket:
    """The state after `nginx -s quit`: a download, and no listener."""
    going_on = download(where)
    nginx.signal(signal.SIGQUIT)
    wait_until(lambda: refuses(where), "the end of the listener")
    return going_on


def test_drain_waits_for_a_download_of_an_nginx_that_quits(
    pod_netns: Netns, nginx: PlainNginx, client: Path, sidecar: socket.socket
) -> None:
    with quit_at_work(nginx, pod_netns) as going_on:
        waiting = hook(pod_netns, client, "--verbose")
        assert waiting.line("counts on the ports") == "counts on the ports 8080"
        waiting.counts("1 in flight (ESTABLISHED 1)")
        waiting.line("does not roll nginx: it quits")
        assert rest(going_on) > FILE_BYTES
    ended = waiting.end()
    assert ended.status == 0, ended.output


def test_a_port_that_a_reload_removed_stays_counted(
    pod_netns: Netns, nginx: PlainNginx, client: Path, folder: Path
) -> None:
    with download(pod_netns) as going_on:
        nginx.configure(serving(8081, folder))
        nginx.signal(signal.SIGHUP)
        wait_until(lambda: refuses(pod_netns), "the end of the old listener")
        waiting = hook(pod_netns, client, "--verbose")
        assert waiting.line("counts on the ports") == "counts on the ports 8080 8081"
        waiting.counts("1 in flight (ESTABLISHED 1)")
        assert rest(going_on) > FILE_BYTES
    assert waiting.end().status == 0


@pytest.mark.parametrize("beside", ["nobody", "a sidecar"])
def test_an_unprivileged_hook_counts_on_every_fixed_port(
    pod_netns: Netns,
    nginx: PlainNginx,
    client: Path,
    beside: str,
    request: pytest.FixtureRequest,
) -> None:
    """A hook of another user, which can read only nginx's titles."""
    if beside == "a sidecar":
        request.getfixturevalue("sidecar")
    with quit_at_work(nginx, pod_netns) as going_on, tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        copy = Path(shutil.copy(client, directory))
        waiting = hook(pod_netns, copy, "--verbose", "--exit-at=1", by=NOBODY)
        said = waiting.line("counts on every listening port: cannot read which sockets")
        ports = waiting.line("counts on the ports").split()[4:]
        assert "8080" in ports, said
        waiting.line("settling, ")
        assert rest(going_on) > FILE_BYTES
        assert waiting.end().status == 0


WITHOUT_PTRACE = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "--"]


class ContainedNginx(PlainNginx):
    """nginx in a pid namespace, without the capability to inspect its workers, which have another
    user."""

    def __init__(self, netns: Netns, folder: Path, listen: str) -> None:
        self.netns = netns
        super().__init__(self, folder, listen)

    def command(self, argv: list[str]) -> list[str]:
        apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
        return self.netns.command([*apart, *WITHOUT_PTRACE, *argv])

    @property
    def pid(self) -> int:
        (master,) = psutil.Process(super().pid).children()
        return int(master.pid)

    def configure(self, listen: str) -> None:
        super().configure(listen)
        config = self._folder / "nginx.conf"
        config.write_text(config.read_text().replace("user root;", "user nobody nogroup;"))


@pytest.mark.parametrize("beside", ["nobody", "a sidecar"])
def test_a_hook_that_cannot_inspect_workers_leaves_out_others_ports(
    pod_netns: Netns, client: Path, beside: str, request: pytest.FixtureRequest
) -> None:
    """The hook is root of a container. Other listeners are a sidecar's, or the daemon's own in the
    pod."""
    if beside == "a sidecar":
        request.getfixturevalue("sidecar")
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        folder.chmod(0o755)
        (folder / "file").write_bytes(b"x" * FILE_BYTES)
        nginx = ContainedNginx(pod_netns, folder / "n", serving(8080, folder))
        try:
            with quit_at_work(nginx, pod_netns) as going_on:
                enter = ["nsenter", f"--target={nginx.pid}", "--net", "--pid", "--mount", "--"]
                waiting = Client([*enter, *WITHOUT_PTRACE, str(client), *QUICK, "--verbose"])
                assert waiting.line("counts on the ports") == "counts on the ports 8080"
                waiting.counts("1 in flight (ESTABLISHED 1)")
                waiting.line("does not roll nginx: it quits")
                assert rest(going_on) > FILE_BYTES
            waiting.end()  # or the end of nginx, which takes its pid namespace with it
            nginx.wait()
        finally:
            nginx.close()


def test_no_port_is_left_out_if_every_port_may_be_ephemeral(
    pod_netns: Netns, nginx: PlainNginx, client: Path
) -> None:
    wide = ["sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535"]
    subprocess.run(pod_netns.command(wide), check=True)
    with quit_at_work(nginx, pod_netns) as going_on, tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        copy = Path(shutil.copy(client, directory))
        waiting = hook(pod_netns, copy, "--verbose", "--exit-at=1", by=NOBODY)
        assert "8080" in waiting.line("counts on the ports").split()
        assert "in flight (ESTABLISHED 2)" in waiting.line("settling")  # both ends are here
        assert rest(going_on) > FILE_BYTES
        ended = waiting.end()
    assert ended.status == 0, ended.output


def test_drain_waits_for_data_that_an_ended_nginx_left_in_the_kernel(
    pod_netns: Netns, client: Path, folder: Path
) -> None:
    (folder / "file").write_bytes(b"x" * 300_000)
    listen = serving(8080, folder).replace("8080;", "8080 sndbuf=2m;") + " keepalive_timeout 0;"
    nginx = PlainNginx(pod_netns, folder / "n", listen=listen)
    try:
        with download(pod_netns) as going_on:
            nginx.signal(signal.SIGQUIT)
            nginx.wait()
            waiting = hook(pod_netns, client, "--verbose")
            assert waiting.line("counts on the ports") == "counts on the ports 8080"
            waiting.counts("1 in flight (FIN_WAIT1 1)")
            assert rest(going_on) > 300_000
        assert waiting.end().status == 0
    finally:
        nginx.close()
