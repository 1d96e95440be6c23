"""A node that no other test's daemon serves, and hooks that reach its daemon in each way."""

import json
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.rig import hooks
from bench.rig import nginx as nginx_binaries
from bench.rig.hooks import Hook, Tools
from bench.rig.netns import Netns, fresh_netns
from bench.rig.pod import FakePod, HookPlace
from tests.e2e.api import pod_among, records_among
from tests.e2e.harness import CLIENT, DAEMON, Daemon, daemon_in, public_folder

QUICK = {"min-wait": "500ms", "quiet": "300ms"}


def _by_client(make: Callable[..., Hook]) -> Callable[..., Hook]:
    return lambda **options: make(*(f"--{name}={value}" for name, value in options.items()))


WAYS: dict[str, Callable[..., Hook]] = {
    "folder": _by_client(hooks.drainmon),
    "socket": _by_client(hooks.by_socket),
    "port": hooks.by_port,
}
"""By name: a function that makes the hook, with options such as {"min-wait": "1s"}."""


@dataclass(frozen=True)
class Node:
    """A node whose daemons run in `host`, together with the clients of its pods: these call with
    the node's addresses. Daemons watch only `nginx`, the newest nginx under a unique name, and use
    a unique name for the socket in pods."""

    host: Netns
    folder: Path
    nginx: Path
    tools: Tools

    @contextmanager
    def daemon(self, *flags: str, program: Path = DAEMON) -> Iterator[Daemon]:
        """Run one of its daemons, at their common socket; `flags` add to the usual ones."""
        program = self.host.wrap(program, self.folder / "daemon")
        usual = (
            f"--process={self.nginx.name}",
            f"--in-pod-socket={self.tools.in_pod_socket}",
            f"--in-pod-port={self.tools.in_pod_port}",
        )
        with daemon_in(self.folder, *usual, *flags, program=program) as daemon:
            yield daemon

    def pod(self, client: Netns | None = None, **how: Any) -> FakePod:
        return FakePod(client or self.host, nginx=self.nginx, **how)

    def start(self, way: str, pod: FakePod, **options: str) -> subprocess.Popen[bytes]:
        """A hook of this way in, with quick options unless others are given."""
        hook = WAYS[way](**QUICK | options)
        argv = hook.argv(pod, self.tools)
        assert argv
        return pod.exec(argv) if hook.place is HookPlace.POD else pod.call(argv)

    def ask(self, resource: str) -> list[dict[str, Any]]:
        """The daemon's answer to root of the node; empty while no daemon answers."""
        url = f"http://drainmon/v1/{resource}"
        argv = self.host.command(["curl", "-sS", "--unix-socket", str(self.tools.socket), url])
        done = subprocess.run(argv, capture_output=True, check=False)
        found: list[dict[str, Any]] = json.loads(done.stdout)[resource] if done.stdout else []
        return found

    def record(self, namespace: Netns) -> dict[str, Any]:
        """The record of the latest drain there; empty when there is none yet."""
        return next(iter(records_among(self.ask("drains"), namespace)), {})

    def phase(self, namespace: Netns) -> str:
        """The latest drain's phase; empty when there is none yet."""
        phases = self.record(namespace).get("phases")
        return str(phases[-1][0]) if phases else ""

    def serves(self, way: str, pod: FakePod) -> bool:
        """Whether a pod can be drained in this way."""
        with pod.client.socket() as caller:
            match way:
                case "port":
                    return not caller.connect_ex((pod.address, self.tools.in_pod_port))
                case "socket":
                    return self.tools.in_pod_socket in abstract_listeners(pod.master_pid)
                case _:
                    return bool(pod_among(self.ask("pods"), pod.netns.inode))


@contextmanager
def own_node() -> Iterator[Node]:
    name = f"ng{secrets.token_hex(4)}"
    with fresh_netns("drainmon-host") as host, public_folder() as folder:
        nginx = folder / "bin" / name
        nginx.parent.mkdir()
        shutil.copy(nginx_binaries.choose(), nginx)
        tools = Tools(CLIENT, folder / "drainmon.sock", f"drainmon-{name}")
        yield Node(host, folder, nginx, tools)


def abstract_listeners(pid: int) -> set[str]:
    """The abstract names of listeners in a process's network namespace. See unix(7) and
    unix_seq_show() in net/unix/af_unix.c: the fourth field is 10000 for listeners."""
    try:
        rows = Path(f"/proc/{pid}/net/unix").read_text().splitlines()
    except OSError:  # the process has ended
        return set()
    fields = (row.split() for row in rows)
    return {row[7][1:] for row in fields if len(row) > 7 and row[3] == "00010000"}
