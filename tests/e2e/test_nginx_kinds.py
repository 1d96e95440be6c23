"""nginx in every state that a drain may find it in, and its forks under their own names."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.rig import nginx as nginx_binaries
from bench.rig.netns import Netns
from tests.e2e.api import pod_in, record_in
from tests.e2e.harness import Daemon, daemon_in, finish, wait_argv
from tests.e2e.plain_nginx import PlainNginx
from tests.waiting import eventually

pytestmark = pytest.mark.root

QUICK = {"min_wait": "0.1s", "quiet": "0.1s", "timeout": "20s"}
KIN = ("openresty", "angie")


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that watches nginx's forks."""
    flags = [word for name in ("nginx", *KIN) for word in ("--process", name)]
    with daemon_in(tmp_path_factory.mktemp("knowing"), *flags) as daemon:
        yield daemon


@contextmanager
def nginx(namespace: Netns, folder: Path, **how: Any) -> Iterator[PlainNginx]:
    made = PlainNginx(namespace, folder, **how)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def keep_alive(namespace: Netns, port: int = 8080) -> Iterator[socket.socket]:
    """A connection that has had its response and stays open."""
    with namespace.socket() as connection:
        connection.settimeout(10)
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in connection.recv(4096)
        yield connection


@contextmanager
def draining(
    daemon: Daemon, namespace: Netns, **flags: object
) -> Iterator[subprocess.Popen[bytes]]:
    argv = namespace.command(wait_argv(daemon.socket, **(QUICK | flags)))
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as hook:
        yield hook


def phase(daemon: Daemon, namespace: Netns) -> str:
    phases: list[tuple[str, float]] = record_in(daemon.socket, namespace).get("phases", [])
    return phases[-1][0] if phases else ""


def known(daemon: Daemon, namespace: Netns) -> bool:
    return bool(pod_in(daemon.socket, namespace.inode).get("ports"))


def copy_of_nginx(folder: Path, name: str) -> Path:
    """The newest nginx by another name; with angie's titles for angie."""
    folder.mkdir()
    code = nginx_binaries.choose().read_bytes()
    if name == "angie":
        code = code.replace(b"nginx: ", b"angie: ")
    copy = folder / name
    copy.write_bytes(code)
    copy.chmod(0o755)
    return copy


@pytest.mark.parametrize("name", KIN)
def test_forks_of_nginx_are_rolled(
    knowing: Daemon, netns: Netns, tmp_path: Path, name: str
) -> None:
    binary = copy_of_nginx(tmp_path / "bin", name)
    with nginx(netns, tmp_path / "kin", binary=binary) as kin, keep_alive(netns) as idle:
        before = kin.workers()
        with draining(knowing, netns) as hook:
            assert idle.recv(1) == b""
            assert finish(hook)[0] == 0
        eventually(lambda: kin.workers() and not before <= kin.workers())
        assert record_in(knowing.socket, netns)["roll"] == "quit"


@pytest.mark.parametrize("name", KIN)
def test_forks_of_nginx_are_rolled_without_a_daemon(
    netns: Netns, tmp_path: Path, name: str
) -> None:
    binary = copy_of_nginx(tmp_path / "bin", name)
    with nginx(netns, tmp_path / "kin", binary=binary), keep_alive(netns) as idle:
        flags = {"pid_file": tmp_path / "kin" / "pid", "verbose": True}
        with draining(Daemon(tmp_path), netns, **flags) as hook:
            assert idle.recv(1) == b""
            status, output = finish(hook)
        assert status == 0
        assert "roll: quit" in output


def test_client_alone_does_not_signal_an_nginx_without_a_master(
    netns: Netns, tmp_path: Path
) -> None:
    with (
        nginx(netns, tmp_path / "nginx", main="master_process off;") as single,
        keep_alive(netns),
    ):
        flags = {"pid_file": tmp_path / "nginx" / "pid", "timeout": "1s"}
        with draining(Daemon(tmp_path), netns, **flags) as hook:
            status, output = finish(hook)
        assert status == 1
        assert "cannot roll nginx: no nginx master has workers that accept; only waiting" in output
        assert "signal " not in single.log()


def test_workers_of_a_hanging_master_are_rolled(
    knowing: Daemon, netns: Netns, tmp_path: Path
) -> None:
    with nginx(netns, tmp_path / "nginx") as hanging, ExitStack() as stack:
        eventually(lambda: len(hanging.workers()) == 2)
        # The other worker is signalled only when a new one has started.
        with hanging.only(min(hanging.workers())):
            idle = stack.enter_context(keep_alive(netns))
        hanging.signal(signal.SIGSTOP)
        stack.callback(hanging.signal, signal.SIGCONT)
        with draining(knowing, netns) as hook:
            assert idle.recv(1) == b""
            assert finish(hook)[0] == 0
        assert len(record_in(knowing.socket, netns)["rolls"]) == 1


def test_a_drain_without_workers_loses_nothing(
    knowing: Daemon, netns: Netns, tmp_path: Path
) -> None:
    with nginx(netns, tmp_path / "nginx") as workless:
        eventually(lambda: known(knowing, netns))
        workless.signal(signal.SIGSTOP)  # so that the master starts no new workers
        for worker in workless.workers():
            os.kill(worker, signal.SIGKILL)
        with netns.socket() as waiting:
            waiting.settimeout(10)
            waiting.connect(("127.0.0.1", 8080))
            waiting.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with draining(knowing, netns) as hook:
                eventually(lambda: phase(knowing, netns) == "rolling")
                workless.signal(signal.SIGCONT)
                assert b"200 OK" in waiting.recv(4096)
                waiting.close()
                assert finish(hook)[0] == 0


def test_every_master_in_the_namespace_is_rolled(
    knowing: Daemon, netns: Netns, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        good = stack.enter_context(nginx(netns, tmp_path / "good"))
        broken = stack.enter_context(nginx(netns, tmp_path / "broken", listen="listen 9090;"))
        broken.configure("nonsense;")
        idle = [stack.enter_context(keep_alive(netns, port)) for port in (8080, 9090)]
        with draining(knowing, netns) as hook:
            for connection in idle:
                assert connection.recv(1) == b""
            assert finish(hook)[0] == 0
        assert "gracefully shutting down" in good.log()
        assert "gracefully shutting down" in broken.log()
        assert len(record_in(knowing.socket, netns)["rolls"]) == 1


def test_daemon_does_not_signal_an_nginx_without_a_master(
    knowing: Daemon, netns: Netns, tmp_path: Path
) -> None:
    with (
        nginx(netns, tmp_path / "nginx", main="master_process off;") as single,
        keep_alive(netns) as idle,
    ):
        with draining(knowing, netns, timeout="4s") as hook:
            status, output = finish(hook)
        assert status == 1
        assert "no nginx master has workers that accept" in output
        assert "signal " not in single.log()
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in idle.recv(4096)


def test_drain_waits_for_an_nginx_that_already_quits(
    knowing: Daemon, netns: Netns, tmp_path: Path
) -> None:
    slow = 'location = /slow { limit_rate 150; return 200 "' + 100 * "x" + '"; } listen 8080;'
    with nginx(netns, tmp_path / "nginx", listen=slow) as quitting, netns.socket() as reader:
        eventually(lambda: known(knowing, netns))
        reader.settimeout(10)
        reader.connect(("127.0.0.1", 8080))
        reader.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        received = len(reader.recv(10))
        quitting.signal(signal.SIGQUIT)
        eventually(lambda: "gracefully shutting down" in quitting.log())
        with draining(knowing, netns, min_wait="15s") as hook:
            while data := reader.recv(4096):
                received += len(data)
            reader.close()
            assert finish(hook)[0] == 0
        assert received > 200
        drain = record_in(knowing.socket, netns)
        assert drain["result"] in {"drained", "gone"}
        assert drain["rolls"] == []
        assert drain["seconds"] < 14  # nothing listens, so min-wait is not required
        assert "reconfiguring" not in quitting.log()
        quitting.wait()


def test_a_drain_whose_nginx_ends_is_gone(knowing: Daemon, netns: Netns, tmp_path: Path) -> None:
    with (
        nginx(netns, tmp_path / "nginx") as ending,
        draining(knowing, netns, min_wait="15s") as hook,
    ):
        eventually(lambda: phase(knowing, netns) == "settling")
        ending.signal(signal.SIGTERM)
        ending.wait()
        status, output = finish(hook)
        assert status == 0
        assert "gone, 0 in flight" in output
    assert record_in(knowing.socket, netns)["result"] == "gone"
    assert record_in(knowing.socket, netns)["seconds"] < 14
