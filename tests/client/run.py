"""Runs the client as a process and measures its duration."""

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
"""Seconds that a busy machine may add to the client's own limit."""

OVERTIME = 0.1
"""Seconds by which the client may exceed its timeout, in any mode."""

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
    """A started client, with `argv` possibly wrapped in nsenter and the like."""

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
        """Record when it ends, even while the test does something else."""
        select.select([self._pidfd], [], [])
        self._ended = time.monotonic()
        os.close(self._pidfd)

    def line(self, *beginnings: str) -> str:
        """Its next line with one of these beginnings; fails when the client ends without one."""
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            said = raw.decode().removeprefix("drainmon: ").rstrip("\n")
            if said.startswith(beginnings):
                return said
        raise AssertionError(f"the client ended without saying {beginnings}")

    def counts(self, connections: str) -> None:
        """Wait for a line with these connections, in whatever phase a busy machine lets it be."""
        self.line(*(f"{phase}, {connections}" for phase in ("settling", "rolling", "waiting")))

    def end(self) -> Run:
        output, _ = self.process.communicate(timeout=30)
        self._waiting.join()
        self.running.remove(self)
        return Run(self.process.returncode, output.decode(), self._ended - self._started)

    @classmethod
    def kill_running(cls) -> None:
        """Kill the clients of a failed test."""
        while cls.running:
            client = cls.running.pop()
            client.process.kill()
            client.process.communicate()
            client._waiting.join()


def run(binary: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Run:
    """Run the client to its end, without lines in the log of this machine's pid 1."""
    return Client(apart([str(binary), "--no-pod-log", *arguments]), env).end()


def apart(argv: list[str]) -> list[str]:
    """`argv` wrapped to run in a new netns, where no daemon has the abstract name.

    Without root, the machine's netns is used: a daemon could serve the name there if it had an
    nginx.
    """
    return ["unshare", "--net", "--", *argv] if os.geteuid() == 0 else argv


def in_time(seconds: float, once: Callable[[], Run]) -> Run:
    """A run of `once` that took at most `seconds` and the overtime.

    The measurement begins before the client does and ends when a thread of this process gets a
    core: on a busy machine both add time that is not the client's. A client that gets no core
    until its alarm, 50 ms after the timeout, ends with status 1 and without the line that says so.
    """

    def good(run: Run) -> bool:
        whole = run.status != 1 or any(line.startswith("deadline, ") for line in run.lines)
        return whole and run.seconds <= seconds + OVERTIME

    return best_of_ten(good, once)


def reports(beginning: str, once: Callable[[], Run]) -> Run:
    """A run of `once` with a line that begins so, although a busy machine may delay what the line
    depends on."""
    return best_of_ten(lambda run: any(line.startswith(beginning) for line in run.lines), once)


def best_of_ten(good: Callable[[Run], bool], once: Callable[[], Run]) -> Run:
    """The first good run. A busy machine makes a client late by chance; a client that is wrong by
    itself is so in each run."""
    for _ in range(10):
        ended = once()
        if good(ended):
            return ended
    raise AssertionError(f"ten runs, the last one took {ended.seconds:.2f} s:\n{ended.output}")


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("DRAINMON_")}


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + CONDITION_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.01)
