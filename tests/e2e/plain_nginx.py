"""nginx in a network namespace or a cgroup: to be restarted, doubled, reconfigured."""

import os
import signal
import subprocess
from contextlib import suppress
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
    """One nginx master. `listen` are its listen directives, `main` what is said outside of http,
    `inherit` a listening socket that it takes over, as from its predecessor. Close it at the end.
    """

    def __init__(
        self,
        where: Where,
        folder: Path,
        listen: str = LISTEN,
        main: str = "",
        binary: Path | None = None,
        inherit: int | None = None,
    ) -> None:
        self._where = where
        self._folder = folder
        self._main = main
        self._binary = binary or nginx_binaries.choose()
        self._inherit = inherit
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)
        self.configure(listen)
        self.start()

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid  # what led it there has become nginx

    def configure(self, listen: str) -> None:
        (self._folder / "nginx.conf").write_text(
            f"daemon off; user root; worker_processes 2; pid {self._folder}/pid; {self._main}"
            f" error_log stderr notice; events {{}} http {{ access_log off; server {{ {listen}"
            ' location / { return 200 "ok"; } } }\n'
        )

    def start(self) -> None:
        pid = self._folder / "pid"
        pid.unlink(missing_ok=True)
        argv = [str(self._binary), "-p", str(self._folder), "-e", "stderr"]
        argv += ["-c", str(self._folder / "nginx.conf")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._where.command(argv),
                stderr=log,
                pass_fds=() if self._inherit is None else (self._inherit,),
                env=None if self._inherit is None else os.environ | {"NGINX": f"{self._inherit};"},
            )
        eventually(lambda: pid.exists() and pid.read_text())

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def workers(self) -> set[int]:
        """The pids of the workers."""
        return {child.pid for child in psutil.Process(self.pid).children()}

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
