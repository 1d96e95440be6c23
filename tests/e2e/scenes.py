"""Situations in which an nginx is drained, all at once with each source: some take ten seconds, and
none needs much CPU time.

A situation is a function that prepares a scene (nginx, clients) and returns a check for the time
when its drain has ended and nginx was stopped, as by a kubelet.
"""

import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.rig.netns import Netns, fresh_netns
from tests.e2e.api import record_in
from tests.e2e.harness import Daemon, finish, wait_argv
from tests.e2e.plain_nginx import LISTEN, PlainNginx
from tests.waiting import eventually

RATE = 20_000
"""Bytes a second of a slow download."""

FLAGS = {"min_wait": "1s", "quiet": "0.2s", "timeout": "25s"}

ALONE = "alone"
"""In place of a source: the client without a daemon."""


@dataclass
class Ended:
    """How a drain ended: the hook's exit status and lines, the daemon's record (empty without a
    daemon), and what the clients of the scene had received when nginx was gone."""

    source: str
    status: int
    output: str
    record: Mapping[str, Any]
    got: list[Any]

    @property
    def last(self) -> str:
        """The last line of the hook that does not name a remaining connection."""
        lines = [line for line in self.output.splitlines() if "drainmon: left: " not in line]
        return lines[-1] if lines else ""


Check = Callable[[Ended], None]


@dataclass
class Scene:
    """One pod. Resources on `stack` are released at the end."""

    source: str
    namespace: Netns
    folder: Path
    stack: ExitStack
    flags: dict[str, object] = field(default_factory=dict)
    cgroup: Path | None = None
    """The cgroup of its nginx and its hook."""
    got: list[Any] = field(default_factory=list)
    _nginx: list[PlainNginx] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def command(self, argv: list[str]) -> list[str]:
        """`argv` wrapped to run in the pod."""
        inside = self.namespace.command(argv)
        if self.cgroup is None:
            return inside
        script = 'echo 0 >"$0" && exec "$@"'  # 0 is the writing process
        return ["sh", "-c", script, str(self.cgroup / "cgroup.procs"), *inside]

    def nginx(self, listen: str = LISTEN, main: str = "", **how: Any) -> PlainNginx:
        made = PlainNginx(self, self.folder / "nginx", listen=listen, main=main, **how)
        self._nginx.append(made)
        self.stack.callback(made.close)
        return made

    def slow(self, seconds: float) -> str:
        """A location whose download takes `seconds`."""
        (self.folder / "slow").write_bytes(b"x" * int(RATE * seconds))
        return f"location = /slow {{ limit_rate {RATE}; root {self.folder}; }}"

    def client(self, act: Callable[[], Any]) -> None:
        """Run a client's action in a thread; its result goes to `got`."""

        def body() -> None:
            try:
                self.got.append(act())
            except OSError as error:
                self.got.append(error)

        thread = threading.Thread(target=body)
        self._threads.append(thread)
        thread.start()

    def connect(self, port: int = 8080, where: Netns | None = None) -> socket.socket:
        connection = self.stack.enter_context((where or self.namespace).socket())
        connection.settimeout(30)
        connection.connect(("127.0.0.1", port))
        return connection

    def download(self, connection: socket.socket, path: str = "/slow") -> None:
        """Read a response to its end; the number of body bytes goes to `got`. Returns when it has
        begun."""
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        begun = connection.recv(4096)

        def rest() -> int:
            data = begun
            while more := connection.recv(1 << 16):
                data += more
            return len(data.partition(b"\r\n\r\n")[2])

        self.client(rest)

    def drain(self, daemon: Daemon) -> Ended:
        """Run the hook to its end, then stop nginx."""
        flags = {**FLAGS, "pid_file": self.folder / "nginx" / "pid", **self.flags}
        argv = self.command(wait_argv(daemon.socket, **flags))
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as hook:
            status, output = finish(hook, 60)
        for nginx in self._nginx:
            if nginx.running():
                nginx.signal(signal.SIGTERM)
            nginx.wait()
        for thread in self._threads:
            thread.join()
        if self.source == ALONE:
            return Ended(self.source, status, output, {}, self.got)
        eventually(lambda: record_in(daemon.socket, self.namespace).get("result"))
        record = record_in(daemon.socket, self.namespace)
        return Ended(self.source, status, output, record, self.got)


Situation = Callable[[Scene], Check]


class Staged:
    """Scenes of many situations and sources: prepared first, then drained, each in its own thread.
    `check` raises the exception of a scene's check."""

    def __init__(self, situations: list[Situation], sources: list[str], folder: Path) -> None:
        self._checks: dict[tuple[str, str], Check] = {}
        self._scenes: dict[tuple[str, str], Scene] = {}
        self._ended: dict[tuple[str, str], Ended | BaseException] = {}
        self._stack = ExitStack()
        self._run(
            partial(self._prepare, situation, source, folder)
            for situation in situations
            for source in sources
        )

    def _prepare(self, situation: Situation, source: str, folder: Path) -> None:
        key = situation.__name__, source
        try:
            namespace = self._stack.enter_context(fresh_netns("drainmon-scene"))
            place = folder / "-".join(key)
            place.mkdir()
            place.chmod(0o755)
            scene = Scene(source, namespace, place, self._stack)
            self._checks[key] = situation(scene)
            self._scenes[key] = scene
        except BaseException as error:
            self._ended[key] = error

    def drain(self, daemons: Mapping[str, Daemon]) -> None:
        self._run(partial(self._drain, key, daemons[key[1]]) for key in self._scenes)

    def _drain(self, key: tuple[str, str], daemon: Daemon) -> None:
        try:
            self._ended[key] = self._scenes[key].drain(daemon)
        except BaseException as error:
            self._ended[key] = error

    @staticmethod
    def _run(work: Iterable[Callable[[], None]]) -> None:
        threads = [threading.Thread(target=one) for one in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def check(self, situation: Situation, source: str) -> None:
        key = situation.__name__, source
        ended = self._ended[key]
        if isinstance(ended, BaseException):
            raise ended
        self._checks[key](ended)

    def close(self) -> None:
        self._stack.close()
