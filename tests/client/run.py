"""Running the client as a process of its own, and measuring how long it took."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

SLACK = 0.4
"""Seconds that a busy machine may add to what the client is allowed."""

CONDITION_SECONDS = 10.0


@dataclass(frozen=True)
class Run:
    """How a client ended; `status` is negative when a signal ended it."""

    status: int
    output: str
    seconds: float

    @property
    def lines(self) -> list[str]:
        return [line.removeprefix("drainmon: ") for line in self.output.splitlines()]

    @property
    def last(self) -> str:
        return self.lines[-1] if self.lines else ""


class Client:
    """A client that has been started, `argv` maybe wrapped in nsenter and the like."""

    running: ClassVar[list["Client"]] = []

    def __init__(self, argv: list[str], env: Mapping[str, str] | None = None) -> None:
        self._started = time.monotonic()
        self.process = subprocess.Popen(
            argv,
            env=clean_environment() | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.running.append(self)

    def line(self, beginning: str) -> str:
        """Its next line that begins so; the test fails when it ends without one."""
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            said = raw.decode().removeprefix("drainmon: ").rstrip("\n")
            if said.startswith(beginning):
                return said
        raise AssertionError(f"the client ended without saying {beginning!r}")

    def end(self) -> Run:
        output, _ = self.process.communicate(timeout=30)
        self.running.remove(self)
        return Run(self.process.returncode, output.decode(), time.monotonic() - self._started)

    @classmethod
    def kill_running(cls) -> None:
        """Those of a test that has failed."""
        while cls.running:
            process = cls.running.pop().process
            process.kill()
            process.communicate()


def run(binary: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Run:
    """The client's whole life. It does not write to the log of this machine's pid 1."""
    return Client([str(binary), "--no-pod-log", *arguments], env).end()


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("DRAINMON_")}


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + CONDITION_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.01)
