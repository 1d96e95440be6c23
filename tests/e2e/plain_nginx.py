"""nginx in a network namespace and nothing else: to be restarted, doubled, reconfigured."""

import os
import signal
import subprocess
from pathlib import Path

from bench.rig import nginx as nginx_binaries
from bench.rig.netns import Netns
from tests.waiting import eventually

LISTEN = "listen 8080;"


class PlainNginx:
    """One nginx master. `listen` are its listen directives. Close it at the end."""

    def __init__(self, namespace: Netns, folder: Path, listen: str = LISTEN) -> None:
        self._namespace = namespace
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)
        self.configure(listen)
        self.start()

    def configure(self, listen: str) -> None:
        (self._folder / "nginx.conf").write_text(
            f"daemon off; user root; worker_processes 2; pid {self._folder}/pid;"
            f" error_log stderr; events {{}} http {{ access_log off; server {{ {listen}"
            ' location / { return 200 "ok"; } } }\n'
        )

    def start(self) -> None:
        pid = self._folder / "pid"
        pid.unlink(missing_ok=True)
        argv = [str(nginx_binaries.choose()), "-p", str(self._folder), "-e", "stderr"]
        argv += ["-c", str(self._folder / "nginx.conf")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._namespace.command(argv), stderr=log)
        eventually(lambda: pid.exists() and pid.read_text())

    def signal(self, number: signal.Signals) -> None:
        assert self._process
        os.kill(self._process.pid, number)  # nsenter has become nginx

    def wait(self) -> None:
        assert self._process
        self._process.wait(10)

    def close(self) -> None:
        assert self._process
        if self._process.poll() is None:
            self.signal(signal.SIGTERM)
        self.wait()
