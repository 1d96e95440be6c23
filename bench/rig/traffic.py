"""The parent's side of a load process: start it, signal the termination, read its totals."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.rig.clients import LoadSpec
from bench.rig.closing import Closing
from bench.rig.errors import RigError
from bench.rig.netns import Netns
from bench.rig.outcome import Totals

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 10.0


class Traffic(Closing):
    """A running load inside `client`. Close it, or use it as a context manager.

    `progress` is called with the totals so far, by a thread, about twice a second.
    """

    def __init__(
        self, client: Netns, spec: LoadSpec, progress: Callable[[Totals], None] | None = None
    ) -> None:
        self.totals = Totals()
        """The totals so far; final once `wait` has returned."""
        self.losses: list[dict[str, Any]] = []
        """The first lost requests: kind, what, race, seconds after the termination."""
        self.cpu_seconds = 0.0
        self.seconds = 0.0
        self.ideal_end: float | None = None
        """When the pod could have ended at the earliest without a loss; time.monotonic()."""
        self.lag = 0.0
        """By how many seconds at most the load itself was late."""
        self._progress = progress
        self._ready = threading.Event()
        self._finished = False
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close()
        argv = [sys.executable, "-m", "bench.rig.load", "--spec", json.dumps(asdict(spec))]
        self._process = subprocess.Popen(
            client.command(argv),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="traffic", daemon=True)
        self._reader.start()
        try:
            if not self._ready.wait(READY_SECONDS) or self._process.poll() is not None:
                raise RigError(f"cannot start the load: {self._complaint()}")
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def terminate(self) -> None:
        """The pod's termination begins; the clients learn of it one by one."""
        self._send("terminate")

    def gone(self) -> None:
        """The pod has ended: no client needs to hold a connection to it any more."""
        self._send("gone")

    def stop(self) -> None:
        """End the run for every client, once its request has ended."""
        self._send("stop")

    def wait(self, timeout: float = 60.0) -> Totals:
        """The totals, once every client is done. Raises RigError when the load failed."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise RigError(f"cannot end the load: still running after {timeout:g} s") from error
        self._reader.join()
        if not self._finished:
            raise RigError(f"cannot use the load's numbers: {self._complaint()}")
        return self.totals

    def close(self) -> None:
        """Kill it if it still runs; a second call does nothing."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def _send(self, word: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended; `wait` says how
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._handle(json.loads(line))
        self._ready.set()  # or never will be: `__init__` checks

    def _handle(self, line: dict[str, Any]) -> None:
        match line:
            case {"ready": True}:
                self._ready.set()
            case {"loss": loss}:
                self.losses.append(loss)
            case {"progress": totals}:
                self.totals = Totals.from_json(totals)
                if self._progress is not None:
                    self._progress(self.totals)
            case {"result": totals}:
                self.totals = Totals.from_json(totals)
                self.cpu_seconds, self.seconds = line["cpu_seconds"], line["seconds"]
                self.ideal_end, self.lag = line["ideal_end"], line["lag"]
                self._finished = True

    def _complaint(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else "it says nothing"
