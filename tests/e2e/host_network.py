"""Pods that share the daemon's network, each in its own cgroups, beside services of the host."""

import contextlib
import json
import secrets
import socket
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.rig.cgroup import Cgroup
from tests.e2e.harness import Daemon, finish, wait_argv
from tests.e2e.plain_nginx import PlainNginx
from tests.kernel.pair import SS_STATES

QUICK = {"min_wait": "0.1s", "quiet": "0.1s", "timeout": "20s"}

NOBODY = ["setpriv", "--reuid=101", "--regid=101", "--clear-groups", "--"]
"""The user of nginx's images."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


class HostPod:
    """A pod of the host's network: its UID, and the cgroups of any number of containers."""

    def __init__(self, root: str) -> None:
        self.uid = str(uuid.uuid4())
        self.path = f"{root}/kubepods/burstable/pod{self.uid}"

    def container(self) -> Cgroup:
        return Cgroup(f"{self.path}/{secrets.token_hex(32)}")

    def name(self, logs: Path, namespace: str, name: str) -> None:
        (logs / f"{namespace}_{name}_{self.uid}").mkdir()

    def hook(self, daemon: Daemon, **flags: object) -> subprocess.Popen[bytes]:
        """drainmon-wait, as uid 101 in a separate container."""
        argv = wait_argv(daemon.socket, **{**QUICK, **flags})
        return run(self.container(), [*NOBODY, *argv])

    def ask(self, daemon: Daemon, path: str = "/v1/self") -> dict[str, Any]:
        return ask(self.container(), daemon, path)


def run(cgroup: Cgroup, argv: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(cgroup.command(argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def ask(cgroup: Cgroup, daemon: Daemon, path: str = "/v1/self") -> dict[str, Any]:
    """The daemon's answer to a process of the cgroup."""
    curl = ["curl", "-sS", "--max-time", "10", "--unix-socket", str(daemon.socket)]
    answer: dict[str, Any] = json.loads(finish(run(cgroup, [*curl, f"http://d{path}"]))[1])
    return answer


@contextlib.contextmanager
def nginx_on(cgroup: Cgroup, folder: Path, port: int, options: str = "") -> Iterator[PlainNginx]:
    """nginx in a cgroup, listening on loopback."""
    nginx = PlainNginx(cgroup, folder, f"listen 127.0.0.1:{port} {options};")
    try:
        yield nginx
    finally:
        nginx.close()


def half_request(port: int) -> socket.socket:
    """A connection with an unfinished request, which nginx cannot end before its client does."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x")
    return connection


def states_by_ss(port: int) -> Counter[str]:
    """The connections on a port of the host's network, without the client's ends."""
    argv = ["ss", "-H", "-t", "-a", "-n", f"sport = :{port}"]
    output = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    states = (line.split()[0] for line in output.splitlines())
    return Counter(SS_STATES[state] for state in states if state != "LISTEN")
