"""Churn processes in a namespace, each with its own port, address or CPU as needed."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.rig.controllers import NO_GROUP, Group
from bench.rig.errors import RigError
from bench.rig.netns import Netns, fresh_netns

ROOT = Path(__file__).resolve().parents[2]
FAST_OPEN = Path("/proc/sys/net/ipv4/tcp_fastopen")


@dataclass(frozen=True)
class Spot:
    """Where one process churns."""

    port: int
    address: str | None = None
    """None: every address of 127.0.0.0/16, which only one process per port can use."""
    cpu: int | None = None


class Churning:
    """Running processes that open connections on command and report when they are done."""

    def __init__(self, processes: "list[subprocess.Popen[str]]") -> None:
        self._processes = processes

    def begin(self, connections: int) -> None:
        """Let the processes open `connections` in all; returns at once."""
        for process in self._processes:
            assert process.stdin
            process.stdin.write(f"run {connections // len(self._processes)}\n")

    def end(self) -> int:
        """Wait for the processes; returns how many connections they opened."""
        return sum(int(_answer(process)) for process in self._processes)

    def run(self, connections: int) -> int:
        """Open `connections`, rounded down per process; returns how many."""
        self.begin(connections)
        return self.end()


@contextmanager
def churn_netns() -> Iterator[Netns]:
    """A namespace in which TCP Fast Open needs no cookie."""
    with fresh_netns("drainmon-churn") as namespace:
        namespace.call(lambda: FAST_OPEN.write_text("519"))
        yield namespace


@contextmanager
def churning(
    namespace: Netns, spots: Iterable[Spot], group: Group = NO_GROUP
) -> Iterator[Churning]:
    """Run a process at each spot, in a cgroup; killed at the end of the block."""
    with ExitStack() as stack:
        yield Churning([stack.enter_context(churner(namespace, spot, group)) for spot in spots])


@contextmanager
def churner(
    namespace: Netns, spot: Spot, group: Group = NO_GROUP
) -> "Iterator[subprocess.Popen[str]]":
    """One process, ready; killed at the end of the block."""
    argv = [sys.executable, "-m", "bench.rig.churn", f"--port={spot.port}"]
    if spot.address:
        argv.append(f"--address={spot.address}")
    with subprocess.Popen(
        group.command(namespace.command(argv)),
        cwd=ROOT,
        text=True,
        bufsize=1,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            if _answer(process) != "ready\n":
                raise RigError("cannot churn: the process does not become ready")
            if spot.cpu is not None:
                os.sched_setaffinity(process.pid, {spot.cpu})
            yield process
        finally:
            process.kill()


def _answer(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    if not (line := process.stdout.readline()):
        raise RigError("cannot churn: the process has ended")
    return line
