"""Running the client as a process of its own, and measuring how long it took."""

import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

SLACK = 1.0
"""Seconds that a busy machine may add to what the client is allowed."""

OVERTIME = 0.1
"""Seconds that the client may outlive its timeout by, in any mode."""

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

    def __init__(
        self, argv: list[str], env: Mapping[str, str] | None = None, pass_fds: Collection[int] = ()
    ) -> None:
        self._started = time.monotonic()
        self.process = subprocess.Popen(
            argv,
            env=clean_environment() | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
        )
        self._ended = self._started
        self._pidfd = os.pidfd_open(self.process.pid)
        self._waiting = threading.Thread(target=self._wait)
        self._waiting.start()
        self.running.append(self)

    def _wait(self) -> None:
        """Note when it ends, whatever the test is doing then."""
        select.select([self._pidfd], [], [])
        self._ended = time.monotonic()
        os.close(self._pidfd)

    def line(self, *beginnings: str) -> str:
        """Its next line that begins in one of these ways; the test fails when it ends without."""
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            said = raw.decode().removeprefix("drainmon: ").rstrip("\n")
            if said.startswith(beginnings):
                return said
        raise AssertionError(f"the client ended without saying {beginnings}")

    def end(self) -> Run:
        output, _ = self.process.communicate(timeout=30)
        self._waiting.join()
        self.running.remove(self)
        return Run(self.process.returncode, output.decode(), self._ended - self._started)

    @classmethod
    def kill_running(cls) -> None:
        """Those of a test that has failed."""
        while cls.running:
            client = cls.running.pop()
            client.process.kill()
            client.process.communicate()
            client._waiting.join()


def run(binary: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Run:
    """The client's whole life. It does not write to the log of this machine's pid 1."""
    return Client(apart([str(binary), "--no-pod-log", *arguments]), env).end()


def apart(argv: list[str]) -> list[str]:
    """`argv` wrapped to run in a netns of its own, where the abstract name is nobody's.

    Who is not root has this machine's: a daemon could serve it there if it had an nginx, too.
    """
    return ["unshare", "--net", "--", *argv] if os.geteuid() == 0 else argv


def in_time(seconds: float, once: Callable[[], Run]) -> Run:
    """A run of `once` that took no longer than `seconds` and what a timeout may be outlived by.

    What is measured begins before the client does and ends when a thread of this process gets a
    core: on a busy machine both add what is not the client's. It cannot make a run shorter, so the
    best of three is the nearest to the client's own; one that is late by itself is late each time.
    """
    for _ in range(3):
        ended = once()
        if ended.seconds <= seconds + OVERTIME:
            break
    assert ended.seconds <= seconds + OVERTIME, ended.output
    return ended


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("DRAINMON_")}


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + CONDITION_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.01)
