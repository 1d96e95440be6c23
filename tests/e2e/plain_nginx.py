"""nginx in a network namespace or a cgroup: can be restarted, doubled, reconfigured."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import psutil

from bench.rig import nginx as nginx_binaries
from tests.waiting import eventually

LISTEN = "listen 8080;"


class Where(Protocol):
    """A network namespace or a cgroup."""

    def command(self, argv: list[str]) -> list[str]: ...


class PlainNginx:
    """One nginx master. `listen` are its listen directives, `main` goes outside of http, `http` and
    `events` into those blocks, `inherit` is a listening socket that it takes over, as from its
    predecessor. Close it at the end."""

    _daemon = "off"

    def __init__(
        self,
        where: Where,
        folder: Path,
        listen: str = LISTEN,
        main: str = "",
        binary: Path | None = None,
        inherit: int | None = None,
        workers: int = 2,
        http: str = "",
        events: str = "",
    ) -> None:
        self._where = where
        self._folder = folder
        self._main = main
        self._binary = binary or nginx_binaries.choose()
        self._inherit = inherit
        self._workers = workers
        self._http = http
        self._events = events
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)
        self.configure(listen)
        self.start()

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid  # the started command has become nginx

    def configure(self, listen: str) -> None:
        (self._folder / "nginx.conf").write_text(
            f"daemon {self._daemon}; user root; worker_processes {self._workers};"
            f" pid {self._folder}/pid; {self._main} error_log stderr notice;"
            f" events {{ {self._events} }} http {{ access_log off; {self._http} server {{ {listen}"
            ' location / { return 200 "ok"; } } }\n'
        )

    def start(self) -> None:
        pid = self._folder / "pid"
        pid.unlink(missing_ok=True)
        argv = [str(self._binary), "-p", str(self._folder), "-e", "stderr"]
        argv += ["-c", str(self._folder / "nginx.conf")]
        # NGINX names the binary to the rig, and inherited sockets to nginx.
        env = {name: value for name, value in os.environ.items() if name != "NGINX"}
        if self._inherit is not None:
            env["NGINX"] = f"{self._inherit};"
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._where.command(argv),
                stderr=log,
                pass_fds=() if self._inherit is None else (self._inherit,),
                env=env,
            )
        eventually(lambda: pid.exists() and pid.read_text())

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def workers(self) -> set[int]:
        """The pids of the workers."""
        return {child.pid for child in psutil.Process(self.pid).children()}

    @contextmanager
    def only(self, worker: int) -> Iterator[None]:
        """Only this worker accepts connections meanwhile: the others are stopped."""
        others = self.workers() - {worker}
        for other in others:
            os.kill(other, signal.SIGSTOP)
        try:
            yield
        finally:
            for other in others:
                os.kill(other, signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def running(self) -> bool:
        assert self._process
        return self._process.poll() is None

    def kill(self) -> None:
        """End every process at once, as when a container is killed."""
        if self.running():
            doomed = [psutil.Process(self.pid), *psutil.Process(self.pid).children()]
            for process in doomed:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(doomed[1:], 10)

    def wait(self) -> None:
        assert self._process
        self._process.wait(10)

    def close(self) -> None:
        assert self._process
        if self._process.poll() is None:
            self.signal(signal.SIGTERM)
        self.wait()


class UpgradedNginx(PlainNginx):
    """A daemonized nginx amid the upgrade of its binary (USR2): `pid` is the new master's, a child
    of `old`. With `winch` the old master has shut down its workers."""

    _daemon = "on"

    def __init__(self, where: Where, folder: Path, winch: bool) -> None:
        self._pid = folder / "pid"
        super().__init__(where, folder)
        super().wait()  # waits for the daemonized processes
        self.old = self.pid
        try:
            self._upgrade(winch)
        except BaseException:
            self.close()
            raise

    def _upgrade(self, winch: bool) -> None:
        eventually(lambda: len(self.workers()) == self._workers)
        os.kill(self.old, signal.SIGUSR2)
        eventually(self._new_master_leads)
        eventually(lambda: len(self.workers()) == self._workers)
        if winch:
            os.kill(self.old, signal.SIGWINCH)
            eventually(lambda: self.workers_of_old() == set())

    def _new_master_leads(self) -> bool:
        try:
            return self.pid != self.old
        except (FileNotFoundError, ValueError):  # the old master renames its file at any moment
            return False

    @property
    def pid(self) -> int:
        return int(self._pid.read_text())

    def workers_of_old(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.old).children()} - {self.pid}

    def close(self) -> None:
        old = psutil.Process(self.old)
        masters = [
            child for child in old.children() if "master process" in " ".join(child.cmdline())
        ]
        for master in (*masters, old):
            master.terminate()
            master.wait(10)
