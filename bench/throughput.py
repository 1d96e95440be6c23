"""nginx's connections per second with and without an attached program, in pairs of short turns.

nginx, the load and the daemon, if any, share one CPU, so that no idle CPU hides their cost. Each
connection has both ends on this node: twice the events, and about twice the work, of a node with
remote clients. Each connection carries one short request; more of either makes a loss smaller.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.rig import nginx as nginx_binaries
from bench.rig.daemon import running_daemon
from bench.rig.errors import RigError
from bench.rig.netns import fresh_netns
from bench.rig.pairs import Interval, median_of
from bench.rig.pod import FakePod
from drainmon.cli.client import get

DAEMON = Path(sys.executable).with_name("drainmon")
NGINX = "/usr/sbin/nginx"
CPU = 0
CONCURRENCY = 32
SETTLE = 20_000
"""Connections before the first turn: the resulting TIME_WAIT sockets make all turns alike."""
SEEN_SECONDS = 10.0

Attached = Callable[[FakePod], AbstractContextManager[object]]


@dataclass(frozen=True)
class Pair:
    """Connections per second."""

    without: float
    attached: float


@dataclass(frozen=True)
class Effect:
    """The effect of an attached program."""

    without: float
    """Connections per second, the median."""
    gain: Interval
    """The relative change of connections per second; a loss is negative."""

    @property
    def seconds(self) -> float:
        """CPU seconds that a connection costs more."""
        return (1 / (1 + self.gain.median) - 1) / self.without


def effect(pairs: list[Pair]) -> Effect:
    gains = [pair.attached / pair.without - 1 for pair in pairs]
    return Effect(statistics.median(pair.without for pair in pairs), median_of(gains))


@contextmanager
def server() -> Iterator[FakePod]:
    """Debian's nginx with one worker. Raises RigError without nginx or without a load generator."""
    if not shutil.which("ab"):
        raise RigError(
            "cannot measure connections per second: ab is not installed (Debian: apache2-utils)"
        )
    binary = nginx_binaries.choose(NGINX)
    with (
        fresh_netns("drainmon-bench") as client,
        FakePod(client, nginx=binary, workers=1, server="access_log off;") as pod,
    ):
        for worker in pod.workers():
            _pin(worker)
        yield pod


def measure(pod: FakePod, attached: Attached, pairs: int, connections: int) -> Iterator[Pair]:
    """Measure `pairs` of turns of `connections` each; every other pair begins attached."""
    _load(pod, SETTLE)
    for number in range(pairs):
        rates = {}
        for with_it in (False, True) if number % 2 else (True, False):
            with attached(pod) if with_it else _nothing():
                _load(pod, max(CONCURRENCY, connections // 10))
                rates[with_it] = _load(pod, connections)
        yield Pair(rates[False], rates[True])


@contextmanager
def daemon(pod: FakePod) -> Iterator[None]:
    """A daemon with default flags, once it has seen the pod."""
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder, "drainmon.sock")
        with running_daemon(DAEMON, socket, Path(folder, "log")) as pid:
            deadline = time.monotonic() + SEEN_SECONDS
            while all(seen["netns"] != pod.netns.inode for seen in get(socket, "/v1/pods")["pods"]):
                if time.monotonic() > deadline:
                    raise RigError("cannot measure a daemon: it does not see nginx")
                time.sleep(0.05)
            _pin(pid)
            yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _pin(pid: int) -> None:
    """Pin all threads of a process, and those that it starts later."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), {CPU})


def _load(pod: FakePod, connections: int) -> float:
    """Connections per second, a request on each. Raises RigError when one fails."""
    argv = ["taskset", "-c", str(CPU), "ab", "-q", "-r", f"-n{connections}", f"-c{CONCURRENCY}"]
    done = subprocess.run(
        pod.client.command([*argv, f"http://{pod.address}:{pod.port}/"]),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    said = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    if done.returncode or int(said.get("Failed requests", "1")):
        why = (done.stderr or done.stdout).partition("\n")[0]
        raise RigError(f"cannot measure connections per second: {why}")
    return float(said["Requests per second"].split()[0])
