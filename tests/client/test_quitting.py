"""nginx that no longer listens where it still serves: it quits, or was reloaded, or never did."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from bench.rig import nginx as nginx_binaries
from bench.rig.netns import Netns
from tests.client.run import Client, wait_until
from tests.e2e.plain_nginx import PlainNginx

pytestmark = pytest.mark.root

QUICK = ["--socket=/nonexistent", "--no-pod-log", "--min-wait=0.3s", "--quiet=0.2s",
         "--timeout=20s"]  # fmt: skip
FILE_BYTES = 8_000_000
"""More than the kernel takes from nginx: the download goes on for as long as nobody reads it."""

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def serving(port: int, folder: Path) -> str:
    return f"listen {port}; location = /slow {{ alias {folder}/file; }}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"x" * FILE_BYTES)
    return tmp_path


@pytest.fixture
def nginx(pod_netns: Netns, folder: Path) -> Iterator[PlainNginx]:
    running = PlainNginx(pod_netns, folder / "n", listen=serving(8080, folder))
    yield running
    running.close()


@pytest.fixture
def sidecar(pod_netns: Netns) -> Iterator[socket.socket]:
    """Another server of the pod, with somebody who stays connected."""
    with pod_netns.socket() as listener, pod_netns.socket() as theirs:
        listener.bind(("127.0.0.1", 9100))
        listener.listen()
        theirs.connect(("127.0.0.1", 9100))
        ours, _ = listener.accept()
        with ours:
            yield listener


def hook(where: Netns, client: Path, *arguments: str, by: list[str] | None = None) -> Client:
    return Client(where.command([*(by or []), str(client), *QUICK, *arguments]))


def download(where: Netns) -> socket.socket:
    """One that nginx has begun to answer."""
    made = where.socket()
    made.settimeout(10)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", 8080))
    made.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
    assert made.recv(8).startswith(b"HTTP/1.1")
    return made


def refuses(where: Netns, port: int = 8080) -> bool:
    with where.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) != 0


def quit_at_work(nginx: PlainNginx, where: Netns) -> socket.socket:
    """What `nginx -s quit` leaves: a download, and nothing that listens."""
    going_on = download(where)
    nginx.signal(signal.SIGQUIT)
    wait_until(lambda: refuses(where), "the end of the listener")
    return going_on


def rest(connection: socket.socket) -> int:
    count = 0
    while received := connection.recv(65536):
        count += len(received)
    return count


def test_what_an_nginx_that_quits_still_serves_is_waited_for(
    pod_netns: Netns, nginx: PlainNginx, client: Path, sidecar: socket.socket
) -> None:
    with quit_at_work(nginx, pod_netns) as going_on:
        waiting = hook(pod_netns, client, "--verbose")
        assert waiting.line("counts on the ports") == "counts on the ports 8080"
        assert "1 in flight (ESTABLISHED 1)" in waiting.line("settling")
        waiting.line("does not roll nginx: it quits")
        assert rest(going_on) > FILE_BYTES
    ended = waiting.end()
    assert ended.status == 0, ended.output


def test_a_port_that_a_reload_has_removed_is_counted(
    pod_netns: Netns, nginx: PlainNginx, client: Path, folder: Path
) -> None:
    with download(pod_netns) as going_on:
        nginx.configure(serving(8081, folder))
        nginx.signal(signal.SIGHUP)
        wait_until(lambda: refuses(pod_netns), "the end of the old listener")
        waiting = hook(pod_netns, client, "--verbose")
        assert waiting.line("counts on the ports") == "counts on the ports 8080 8081"
        assert "1 in flight (ESTABLISHED 1)" in waiting.line("settling")
        assert rest(going_on) > FILE_BYTES
    assert waiting.end().status == 0


@pytest.mark.parametrize("beside", ["nobody", "a sidecar"])
def test_who_may_not_look_at_nginx_counts_on_every_fixed_port(
    pod_netns: Netns,
    nginx: PlainNginx,
    client: Path,
    beside: str,
    request: pytest.FixtureRequest,
) -> None:
    """A hook of another user, which sees nginx's titles only."""
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
    """In a pid namespace, and without the capability to look at its workers, another user's."""

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
def test_who_may_not_look_at_the_workers_leaves_out_where_others_listen(
    pod_netns: Netns, client: Path, beside: str, request: pytest.FixtureRequest
) -> None:
    """Root of a container. Other listeners are a sidecar's, or the daemon's own in the pod."""
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
                assert "1 in flight (ESTABLISHED 1)" in waiting.line("settling")
                waiting.line("does not roll nginx: it quits")
                assert rest(going_on) > FILE_BYTES
            waiting.end()  # or nginx's, which takes its pid namespace with it
            nginx.wait()
        finally:
            nginx.close()


def test_where_every_port_may_be_a_connections_own_none_is_left_out(
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


def test_what_an_nginx_that_has_ended_left_to_the_kernel_is_waited_for(
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
            assert "1 in flight (FIN_WAIT1 1)" in waiting.line("settling")
            assert rest(going_on) > 300_000
        assert waiting.end().status == 0
    finally:
        nginx.close()


@pytest.fixture
def activated(pod_netns: Netns, outside: Netns, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An nginx whose listener was made in another netns, as systemd does for podman."""
    config, log = folder / "nginx.conf", folder / "log"
    listen = serving(8080, folder).replace("8080", "0.0.0.0:8080")
    config.write_text(
        f"daemon off; user root; pid {folder}/pid; error_log stderr notice; events {{}}"
        f" http {{ access_log off; server {{ {listen} }} }}\n"
    )
    with ExitStack() as stack:
        listener = stack.enter_context(outside.socket())
        listener.bind(("0.0.0.0", 8080))  # noqa: S104 - of the other netns
        listener.listen()
        number = listener.fileno()
        process = subprocess.Popen(
            pod_netns.command([str(nginx_binaries.choose()), "-e", "stderr", "-c", str(config)]),
            pass_fds=[number],
            env={**os.environ, "NGINX": f"{number};"},
            stderr=stack.enter_context(log.open("wb")),
        )
        wait_until((folder / "pid").exists, "nginx")
        yield process
        if process.poll() is None:
            process.terminate()
        process.wait()


@pytest.mark.parametrize("quits", [False, True])
def test_connections_in_another_netns_are_waited_for(
    pod_netns: Netns,
    outside: Netns,
    client: Path,
    activated: subprocess.Popen[bytes],
    quits: bool,
) -> None:
    with download(outside) as going_on:
        waiting = hook(pod_netns, client, "--no-roll")
        first = waiting.line(*(f"{p}, 1 in flight (elsewhere 1)" for p in ("settling", "waiting")))
        if quits:
            activated.send_signal(signal.SIGQUIT)
        if first.startswith("settling"):  # a busy machine is late for it
            waiting.line("waiting, 1 in flight (elsewhere 1)")
        assert rest(going_on) > FILE_BYTES
    ended = waiting.end()
    assert ended.status == 0, ended.output
    assert " 0 in flight" in ended.last


def test_a_sidecar_beside_an_inherited_listener_is_not_counted(
    pod_netns: Netns, client: Path, activated: subprocess.Popen[bytes], sidecar: socket.socket
) -> None:
    waiting = hook(pod_netns, client, "--no-roll", "--verbose")
    assert waiting.line("counts on the ports") == "counts on the ports (none)"
    assert waiting.end().status == 0


def test_what_nginx_holds_here_is_not_elsewhere(
    pod_netns: Netns, client: Path, folder: Path
) -> None:
    """Listeners of every kind, and a connection that is counted once."""
    main = "stream { server { listen 8053 udp reuseport; proxy_pass 127.0.0.1:9; } }"
    listen = f"listen unix:{folder}/web.sock; {serving(8080, folder)} listen [::]:8080;"
    nginx = PlainNginx(pod_netns, folder / "n", listen=listen, main=main)
    try:
        with download(pod_netns) as going_on:
            waiting = hook(pod_netns, client, "--no-roll")
            assert "1 in flight (ESTABLISHED 1)" in waiting.line("settling")
            rest(going_on)
        assert waiting.end().status == 0
    finally:
        nginx.close()
