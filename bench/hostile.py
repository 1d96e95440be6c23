"""What one pod can do to the drains of others: `python -m bench.hostile`. Root only.

For each attack: a daemon without sockets in pods, then the attack, then a pod that starts during
the attack. Measured is the time from the end of the pod's last connection to the exit of its
waiting client, compared with the same time without an attack. The attackers run in their own
namespaces, with the CPU share of pods that request none: 20,000 listeners; ten processes that
listen and close without a pause; 100,000 idle connections and some that come and go; all at once.
Listening processes have the name of nginx or another name. Processes that only open and close
sockets show the effect of a busy node.

Also recorded: the daemon's memory and the kernel's for the daemon; missed events; the results of
the drains; the source in use. Exit status 1 when the median or the 99th percentile is worse by more
than 50 ms than without an attack, the daemon has grown by more than 8 MB or missed an event, a
drain did not end as drained, or another source took over from core.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.release import release
from bench.rig.attack import PER_PROCESS
from bench.rig.churning import Spot, churn_netns, churning
from bench.rig.controllers import best_effort_group, map_bytes, memory_group
from bench.rig.daemon import running_daemon
from bench.rig.errors import RigError
from bench.rig.netns import fresh_netns
from bench.rig.pod import FakePod
from drainmon.cli.client import get

ROOT = Path(__file__).resolve().parents[1]
DAEMON = Path(sys.executable).with_name("drainmon")
LISTENERS = 20_000
LOOPS = 10
CONNECTIONS = 100_000
ENDLESS = 10**9
"""Connections that come and go until the attack ends."""
WARM_UP = 5
"""Releases before an attack: the daemon loads code during the first ones."""
SEEN_SECONDS = 30.0
NOTICE_SECONDS = 3.0
"""Time for the daemon's first snapshot of the attackers."""

SLOWER_AT_MOST = 0.050
MB = 1 << 20
GROWTH_AT_MOST = 8 * MB


@dataclass(frozen=True)
class Attackers:
    """Processes in one namespace: the attack (bench.rig.attack) and its size."""

    way: str
    name: str
    number: int
    churn: bool = False
    """Whether connections also come and go in another namespace."""

    def commands(self) -> Iterator[list[str]]:
        """The command of each process."""
        for place, first in enumerate(range(0, self.number, PER_PROCESS)):
            share = min(PER_PROCESS, self.number - first)
            argv = [sys.executable, "-m", "bench.rig.attack", self.way, f"--name={self.name}"]
            yield [*argv, f"--number={share}", f"--place={place}"]


def _named(way: str, number: int) -> tuple[Attackers, Attackers]:
    return Attackers(way, "nginx", number), Attackers(way, "other", number)


FOREIGN = Attackers("connections", "other", CONNECTIONS, churn=True)
LISTEN, LISTEN_OTHER = _named("listeners", LISTENERS)
LOOP, LOOP_OTHER = _named("listen-loop", LOOPS)

ATTACKS: dict[str, tuple[Attackers, ...]] = {
    "quiet": (),
    "sockets opened and closed": (Attackers("idle-loop", "other", 2 * LOOPS),),
    "20,000 listeners, nginx": (LISTEN,),
    "20,000 listeners, another name": (LISTEN_OTHER,),
    "listen and close, nginx": (LOOP,),
    "listen and close, another name": (LOOP_OTHER,),
    "100,000 connections": (FOREIGN,),
    "all at once": (LISTEN, LISTEN_OTHER, LOOP, LOOP_OTHER, FOREIGN),
}


@dataclass(frozen=True)
class Memory:
    """A daemon's memory in bytes."""

    rss: int
    maps: int
    """Bytes of its BPF maps."""
    kernel: int | None
    """The kernel's memory for the daemon; None where no controller counts it."""


@dataclass(frozen=True)
class Outcome:
    """The measurements during one attack."""

    seconds: list[float]
    """Each time from the victim's last connection to its client's exit."""
    before: Memory
    after: Memory
    """Taken while the attack still runs."""
    missed: dict[str, int]
    """By place, since the daemon's start."""
    drains: Counter[str]
    source: str
    replaced: int
    """How often another source took over."""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p99(self) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, round(len(ordered) * 0.99))]


class Daemon:
    """A running daemon and its reports."""

    def __init__(self, stack: ExitStack) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.socket, self.log = folder / "drainmon.sock", folder / "log"
        self.cgroup = stack.enter_context(memory_group())
        program = self.cgroup.wrap(DAEMON, folder / "daemon")
        self.pid = stack.enter_context(running_daemon(program, self.socket, self.log))
        if (source := self.said("/healthz")["source"]) != "core":
            raise RigError(f"cannot measure core: the daemon uses {source}")

    def memory(self) -> Memory:
        return Memory(
            psutil.Process(self.pid).memory_info().rss,
            map_bytes(self.pid),
            self.cgroup.kernel_bytes(),
        )

    def await_pod(self, pod: FakePod) -> None:
        deadline = time.monotonic() + SEEN_SECONDS
        while all(one["netns"] != pod.netns.inode for one in self.said("/v1/pods")["pods"]):
            if time.monotonic() > deadline:
                raise RigError("cannot measure releases: the daemon does not see a new pod")
            time.sleep(0.05)

    def drains(self) -> Counter[str]:
        """Finished drains by result."""
        return Counter(record["result"] for record in self.said("/v1/drains")["drains"])

    def said(self, resource: str) -> dict[str, Any]:
        answer: dict[str, Any] = get(self.socket, resource)
        return answer


def endure(attack: Sequence[Attackers], releases: int) -> Outcome:
    """Measure a daemon that started before the attack, and a pod that starts during it."""
    with ExitStack() as stack:
        daemon = Daemon(stack)
        client = stack.enter_context(fresh_netns("drainmon-bench"))
        with FakePod(client) as first:
            for _ in range(WARM_UP):
                release(first, daemon.socket)
        before, drains = daemon.memory(), daemon.drains()
        stack.enter_context(under(attack))
        time.sleep(NOTICE_SECONDS)
        pod = stack.enter_context(FakePod(client))
        daemon.await_pod(pod)
        seconds = [release(pod, daemon.socket) for _ in range(releases)]
        health = daemon.said("/healthz")
        return Outcome(
            seconds,
            before,
            daemon.memory(),
            health["missed"],
            daemon.drains() - drains,
            health["source"],
            daemon.log.read_text().count("source replaced"),
        )


@contextmanager
def under(attack: Sequence[Attackers]) -> Iterator[None]:
    """Run all of these attackers, each in its own namespace."""
    with ExitStack() as stack:
        processes = []
        cgroup = stack.enter_context(best_effort_group())
        for attackers in attack:
            namespace = stack.enter_context(fresh_netns("drainmon-hostile"))
            for argv in attackers.commands():
                process = subprocess.Popen(
                    cgroup.command(namespace.command(argv)),
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,
                )
                processes.append(stack.enter_context(process))
            if attackers.churn:
                elsewhere = stack.enter_context(churn_netns())
                stack.enter_context(churning(elsewhere, [Spot(8000)], cgroup)).begin(ENDLESS)
        for process in processes:
            assert process.stdout
            if process.stdout.readline() != b"ready\n":
                raise RigError("cannot attack: the process has ended")
        yield


def complaints(outcome: Outcome, quiet: Outcome, releases: int) -> list[str]:
    """The limits that the outcome exceeds."""
    found = []
    for name, now, before in (
        ("median", outcome.median, quiet.median),
        ("p99", outcome.p99, quiet.p99),
    ):
        if now - before > SLOWER_AT_MOST:
            found.append(f"{name} worse by {(now - before) * 1e3:.0f} ms")
    if (grown := outcome.after.rss - outcome.before.rss) > GROWTH_AT_MOST:
        found.append(f"grown by {grown / MB:.0f} MB")
    if any(outcome.missed.values()):
        found.append("events missed")
    if outcome.drains != Counter(drained=releases):
        ended = ", ".join(f"{number} {how}" for how, number in outcome.drains.items())
        found.append(f"of {releases} drains: {ended or 'none'}")
    if outcome.replaced or outcome.source != "core":
        found.append(f"source replaced {outcome.replaced} times, now {outcome.source}")
    return found


def heading() -> str:
    names = ("median ms", "p99", "RSS MB", "+", "maps kB", "+", "kernel kB", "+")
    return f"{'':32}" + "".join(f"{name:>10}" for name in names) + "  missed"


def row(name: str, outcome: Outcome) -> str:
    cells = [f"{outcome.median * 1e3:.1f}", f"{outcome.p99 * 1e3:.1f}"]
    before, after = outcome.before, outcome.after
    cells += [f"{after.rss / MB:.1f}", f"{(after.rss - before.rss) / MB:+.1f}"]
    for now, then in ((after.maps, before.maps), (after.kernel, before.kernel)):
        if now is None or then is None:
            cells += ["-", ""]
        else:
            cells += [f"{now >> 10}", f"{(now - then) >> 10:+}"]
    missed = ", ".join(f"{place} {n}" for place, n in outcome.missed.items() if n)
    return f"{name:32}" + "".join(f"{cell:>10}" for cell in cells) + f"  {missed or 'nothing'}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--releases", type=int, default=30, help="during each attack")
    parser.add_argument(
        "--attack", choices=list(ATTACKS)[1:], action="append", help="only this one (repeatable)"
    )
    options = parser.parse_args()
    print("release of a pod; the daemon's memory: RSS, memlock of its maps, kernel memory of its")
    print(
        "cgroup, with what maps keep in sockets, and by how much each has grown; what it has missed"
    )
    print(heading())
    bad, quiet = False, None
    for name in ["quiet", *(options.attack or list(ATTACKS)[1:])]:
        outcome = endure(ATTACKS[name], options.releases)
        quiet = quiet or outcome
        print(row(name, outcome), flush=True)
        for complaint in complaints(outcome, quiet, options.releases):
            print(f"  {complaint}", flush=True)
            bad = True
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
