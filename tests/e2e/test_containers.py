"""Containers as runc makes them: their owner, and a pod of several containers."""

import secrets
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.rig import nginx as nginx_binaries
from bench.rig.cgroup import cgroup_root
from bench.rig.container import Container
from bench.rig.netns import Netns
from drainmon.cli.client import get
from drainmon.pods.discovery import owner_of
from tests.e2e.api import pod_in
from tests.e2e.harness import CLIENT, Daemon, daemon_in, finish, public_folder, wait_argv
from tests.waiting import eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not shutil.which("runc"), reason="needs runc"),
]

QUICK = {"min_wait": "0.1s", "quiet": "0.1s", "timeout": "20s"}
UID = str(uuid.uuid4())

CONFIGURATION = """
daemon off; user root; worker_processes 1; pid /run/nginx.pid; error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
    server { listen 8080; location / { return 200 "ok"; } }
}
"""

MakeContainer = Callable[..., Container]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with public_folder() as path:
        (path / "nginx.conf").write_text(CONFIGURATION)
        (path / "logs" / f"shop_web-7d4b9_{UID}").mkdir(parents=True)
        yield path


@pytest.fixture(scope="module")
def daemon(folder: Path) -> Iterator[Daemon]:
    with daemon_in(folder, "--pod-logs", str(folder / "logs")) as daemon:
        yield daemon


@pytest.fixture
def make_container(folder: Path, netns: Netns) -> Iterator[MakeContainer]:
    """Makes containers in one network namespace, which have the daemon's socket and the client."""
    nginx = nginx_binaries.choose()
    with cgroup_root() as root, ExitStack() as stack:

        def make(argv: list[str], above: str, user: int = 0) -> Container:
            name = secrets.token_hex(32)
            mounts = [folder, CLIENT.parent, nginx.parent]
            cgroup = f"{root}/{above}/{name}"
            how: dict[str, Any] = {"cgroup": cgroup, "netns": netns, "mounts": mounts}
            return stack.enter_context(Container(name, argv, user=user, **how))

        yield make


def nginx_argv(folder: Path) -> list[str]:
    binary = str(nginx_binaries.choose())
    return [binary, "-p", "/tmp", "-c", str(folder / "nginx.conf"), "-e", "stderr"]  # noqa: S108


def half_request(namespace: Netns) -> Any:
    """A connection with an unfinished request, which nginx cannot end before its client does."""
    connection = namespace.socket()
    eventually(lambda: not connection.connect_ex(("127.0.0.1", 8080)))
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x")
    return connection


def ask(container: Container, daemon: Daemon) -> str:
    curl = ["/usr/bin/curl", "-sS", "--unix-socket", str(daemon.socket), "http://d/v1/self"]
    return finish(container.exec(curl))[1]


def test_a_hook_in_another_container_waits_for_its_pods_nginx(
    daemon: Daemon, folder: Path, netns: Netns, make_container: MakeContainer
) -> None:
    pod = f"kubepods/burstable/pod{UID}"
    nginx = make_container(nginx_argv(folder), pod)
    application = make_container(["/bin/sleep", "600"], pod, user=101)
    owners = [owner_of(container.pid) for container in (nginx, application)]
    assert [(owner.pod_uid, owner.container_id) for owner in owners] == [
        (UID, nginx.name),
        (UID, application.name),
    ]
    assert owners[0].root == owners[1].root
    with half_request(netns) as connection:
        eventually(lambda: '"in_flight":1' in ask(application, daemon))
        listed = pod_in(daemon.socket, netns.inode)
        assert (listed["pod"], listed["uid"]) == ("shop/web-7d4b9", UID)
        hook = application.exec(wait_argv(daemon.socket, no_roll=True, **QUICK))
        eventually(lambda: _record(daemon).get("peak_in_flight") == 1)
        assert hook.poll() is None
        connection.close()
        assert finish(hook)[0] == 0
    record = _record(daemon)
    assert (record["pod"], record["result"], record["rolls"]) == ("shop/web-7d4b9", "drained", [])


def _record(daemon: Daemon) -> dict[str, Any]:
    drains: list[dict[str, Any]] = get(daemon.socket, "/v1/drains")["drains"]
    return next((drain for drain in drains if drain["uid"] == UID), {})


def test_a_docker_container_is_named_by_its_id(
    daemon: Daemon, folder: Path, netns: Netns, make_container: MakeContainer
) -> None:
    container = make_container(nginx_argv(folder), "docker")
    with half_request(netns):
        eventually(lambda: f'"pod":"{container.name}"' in ask(container, daemon))
    hook = container.exec(wait_argv(daemon.socket, **QUICK))
    assert finish(hook)[0] == 0
