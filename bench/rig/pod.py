"""A pod without a container runtime: nginx as pid 1 of its own pid, mount and network namespaces.

`terminate` does what a kubelet and a container runtime do when a pod is deleted: hook, stop signal,
SIGKILL, and the network gone while the kernel still holds bytes that no client has seen.
"""

import itertools
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO

import psutil

from bench.rig import nginx as nginx_binaries
from bench.rig.cgroup import Cgroup
from bench.rig.closing import Closing
from bench.rig.errors import RigError
from bench.rig.interrupts import held_back
from bench.rig.netns import Netns, add_address, delete_netns, ip, link
from bench.rig.pidfd import child_ends, end, ends, send_signal

PID_FILE = "/run/nginx.pid"
"""nginx's pid file as the pod's processes see it: /run is the pod's own."""

FIRST_CLIENT_ADDRESS = "10.64.0.1"
"""The client's address towards the first pod of a process."""

START_SECONDS = 10.0
KILL_DELAY_SECONDS = 2.0
"""The kubelet's least time between the stop signal and SIGKILL."""

_numbers = itertools.count()


class HookPlace(Enum):
    """Where a hook runs: `exec` in the pod's container, `httpGet` in the kubelet, on the node."""

    POD = "pod"
    NODE = "node"


@dataclass(frozen=True)
class Termination:
    """The times of a termination, in time.monotonic() seconds."""

    hook_start: float
    hook_end: float
    hook_exit: int | None
    """Negative when a signal ended the hook; None without a hook, or when it outlived the grace."""
    nginx_exit: float
    killed: bool
    """Whether nginx had to be killed at the end of the grace period."""
    teardown: float
    output: str

    @property
    def seconds(self) -> float:
        """From the termination's start to the end of the network."""
        return self.teardown - self.hook_start


class FakePod(Closing):
    """A running nginx, reachable from `client`. Close it, or use it as a context manager.

    `http` and `server` are added to those blocks of its configuration; /file is `file_bytes` long;
    /slow-upstream and /stream go to `upstream_port` of the client's side. nginx and its hooks run
    in `cgroup`, if given. Raises RigError when nginx does not start.
    """

    def __init__(
        self,
        client: Netns,
        *,
        nginx: Path | None = None,
        workers: int = 2,
        port: int = 80,
        http: str = "",
        server: str = "",
        file_bytes: int = 2_000_000,
        upstream_port: int = 9000,
        cgroup: Cgroup | None = None,
    ) -> None:
        self._cgroup = cgroup
        self.nginx = nginx or nginx_binaries.choose()
        self.port = port
        self.client = client
        self.upstream_port = upstream_port
        self._cleanup = ExitStack()
        self._hooks: list[subprocess.Popen[bytes]] = []
        try:
            self.directory = self._make_directory(file_bytes)
            self._make_network()
            self.config = self.directory / "nginx.conf"
            self.config.write_text(
                nginx_binaries.configuration(
                    version=nginx_binaries.version(self.nginx),
                    stub_status=nginx_binaries.has_stub_status(self.nginx),
                    pid_file=PID_FILE,
                    port=port,
                    workers=workers,
                    upstream=f"{self.client_address}:{upstream_port}",
                    http=http,
                    server=server,
                )
            )
            self._start(workers)
        except BaseException:
            self.close()
            raise

    @property
    def nginx_argv(self) -> list[str]:
        """nginx with this pod's prefix and configuration, for `-s quit` and the like."""
        return [str(self.nginx), "-p", str(self.directory), "-c", str(self.config), "-e", "stderr"]

    def log(self) -> str:
        """The container's output: nginx's error log, and the lines that hooks wrote to pid 1's
        output."""
        return self._log.read_text(errors="replace")

    def workers(self) -> set[int]:
        """The host pids of nginx's workers, including old ones that finish their work."""
        with suppress(psutil.NoSuchProcess):
            return {child.pid for child in psutil.Process(self.master_pid).children()}
        return set()

    def exec(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        output: int | IO[bytes] = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Start `argv` (absolute paths) in the pod's namespaces, as a hook that ends with nginx.

        Its stdout and stderr both go to `output`; `env` is added to this process's own.
        """
        enter = ["nsenter", f"--target={self.master_pid}", "--net", "--pid", "--mount", "--"]
        return self._hook(self._in_cgroup([*enter, *argv]), env, output)

    def call(
        self, argv: Sequence[str], output: int | IO[bytes] = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        """Start `argv` beside the pod, as a request of the node's kubelet: in the client's
        namespace, whose addresses here are the node's. It does not end with nginx."""
        return self._hook(self.client.command([*argv]), None, output)

    def _hook(
        self, argv: list[str], env: Mapping[str, str] | None, output: int | IO[bytes]
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._hooks.append(process)
        return process

    def terminate(
        self,
        hook: Sequence[str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace: float = 30.0,
        env: Mapping[str, str] | None = None,
        place: HookPlace = HookPlace.POD,
    ) -> Termination:
        """End the pod as a kubelet does; `grace` in seconds, counted from the hook's start. `env`
        is for a hook in the pod.

        The stop signal follows the hook's end at once, or the end of the grace period while the
        hook still runs; SIGKILL not before that, nor within `KILL_DELAY_SECONDS` of the stop
        signal. Then the network goes.
        """
        start = time.monotonic()
        status: int | None = None
        output = self.directory / "hook.log"
        if hook is not None:
            with output.open("wb") as file:
                in_pod = place is HookPlace.POD
                process = self.exec(hook, env, file) if in_pod else self.call(hook, file)
            if child_ends(process, start + grace):
                status = process.wait()
            elif not in_pod:
                process.kill()
        hook_end = time.monotonic()

        send_signal(self._master_fd, stop_signal)
        killed = not ends(
            self._master_fd, max(start + grace, time.monotonic() + KILL_DELAY_SECONDS)
        )
        if killed:
            send_signal(self._master_fd, signal.SIGKILL)
            ends(self._master_fd, time.monotonic() + KILL_DELAY_SECONDS)
        nginx_exit = time.monotonic()

        self._unplug()
        teardown = time.monotonic()
        delete_netns(self.netns.name)
        said = output.read_text(errors="replace") if hook is not None else ""
        return Termination(start, hook_end, status, nginx_exit, killed, teardown, said)

    def close(self) -> None:
        """Kill what runs and remove what was made, in any state; a second call does nothing."""
        self._cleanup.close()

    def _make_directory(self, file_bytes: int) -> Path:
        path = Path(tempfile.mkdtemp(prefix="drainmon-pod-"))
        self._cleanup.callback(shutil.rmtree, path, ignore_errors=True)
        for name in ("run", "html", "temp"):
            (path / name).mkdir()
        with (path / "html" / "file").open("wb") as file:
            file.truncate(file_bytes)
        self._log = path / "container.log"
        return path

    def _make_network(self) -> None:
        name = f"drainmon-pod-{secrets.token_hex(3)}"
        self._cleanup.callback(delete_netns, name)
        self.netns = Netns(name)
        self._link = f"dm{secrets.token_hex(4)}"
        # Explicitly: sockets that still have bytes to send hold a deleted namespace alive.
        self._cleanup.callback(self._unplug)

        number = next(_numbers)
        prefix, prefix6 = f"10.{64 + number // 256 % 128}.{number % 256}", f"fd64:{number:x}:"
        self.client_address, self.address = f"{prefix}.1", f"{prefix}.2"
        self.client_address6, self.address6 = f"{prefix6}:1", f"{prefix6}:2"
        here, there = link(
            self.client, f"{self.client_address}/24", self.netns, f"{self.address}/24", self._link
        )
        add_address(self.client, here, f"{self.client_address6}/64")
        add_address(self.netns, there, f"{self.address6}/64")

    def _start(self, workers: int) -> None:
        # /run is the pod's own, so that its nginx.pid is no other pod's; exec keeps nginx pid 1.
        script = 'mount --bind "$1" /run && shift && exec "$@"'
        argv = [
            "unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--",
            "sh", "-c", script, "sh", str(self.directory / "run"), *self.nginx_argv,
        ]  # fmt: skip
        with self._log.open("ab") as log, held_back():
            process = subprocess.Popen(
                self._in_cgroup(self.netns.command(argv)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self._cleanup.callback(self._kill, process)
        # nginx writes its pid file after it listens: from here on a connect() succeeds.
        pid_file = self.directory / PID_FILE.removeprefix("/")
        deadline = time.monotonic() + START_SECONDS
        while not (pid_file.exists() and pid_file.read_text()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RigError(f"cannot start nginx: {self.log().strip() or 'it says nothing'}")
            time.sleep(0.005)
        (master,) = psutil.Process(process.pid).children()
        self.master_pid = master.pid
        self._master_fd = os.pidfd_open(self.master_pid)
        self._cleanup.callback(os.close, self._master_fd)
        while len(self.workers()) < workers:
            if time.monotonic() > deadline:
                raise RigError(f"cannot start nginx's {workers} workers: {self.log().strip()}")
            time.sleep(0.001)

    def _in_cgroup(self, argv: list[str]) -> list[str]:
        return self._cgroup.command(argv) if self._cgroup else argv

    def _kill(self, unshare: subprocess.Popen[bytes]) -> None:
        # The death of pid 1 kills every process of its pid namespace, and completes when all are
        # reaped: hooks by their nsenter, nginx by unshare, so these must not be killed first.
        deadline = time.monotonic() + KILL_DELAY_SECONDS
        with suppress(psutil.NoSuchProcess):
            for master in psutil.Process(unshare.pid).children():
                master.kill()
        for parent in (*self._hooks, unshare):
            end(parent, deadline)

    def _unplug(self) -> None:
        with suppress(subprocess.CalledProcessError):  # gone already, or never made
            ip("-n", self.client.name, "link", "del", f"{self._link}l")
