"""Counters, snapshots and ss after very many connections: `python -m bench.churn`.

Several processes in several namespaces open connections and end them in every possible way, while
the daemon is killed and restarted twice. At every pause the daemon's counters, its snapshot and ss
must agree for every pod, and the connections accepted since the last pause must match the
namespace's PassiveOpens. Then pods come and go. Exit status 1 on any disagreement. Root only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.rig.churning import Spot, churn_netns, churner
from bench.rig.daemon import running_daemon
from bench.rig.many import PORTS, many_pods
from bench.rig.maps import DaemonMaps
from drainmon.cli.client import get

ROOT = Path(__file__).resolve().parents[1]
DAEMON = Path(sys.executable).with_name("drainmon")
FLAGS = ["--process", "churnd", "--reconcile-interval", "50ms"]
SETTLE_SECONDS = 15.0
"""The daemon corrects itself at the reconcile interval and forgets dead namespaces within 3 s."""
RSS_GROWTH = 2 << 20
AT_ONCE = 50
"""Pods that start and end together."""
NAMES = {
    "ESTAB": "ESTABLISHED", "SYN-RECV": "SYN_RECV", "FIN-WAIT-1": "FIN_WAIT1",
    "FIN-WAIT-2": "FIN_WAIT2", "CLOSE-WAIT": "CLOSE_WAIT", "LAST-ACK": "LAST_ACK",
    "CLOSING": "CLOSING",
}  # fmt: skip


class Namespace:
    """One namespace with its churning processes."""

    def __init__(self, stack: ExitStack, processes: int) -> None:
        self.netns = stack.enter_context(churn_netns())
        self.ports = [8000 + number for number in range(processes)]
        self.workers = [stack.enter_context(churner(self.netns, Spot(p))) for p in self.ports]

    def send(self, command: str) -> None:
        for worker in self.workers:
            assert worker.stdin
            worker.stdin.write(command + "\n")

    def answers(self) -> int:
        """The sum of the workers' connections."""
        return sum(int(worker.stdout.readline()) for worker in self.workers if worker.stdout)

    def ss(self) -> Counter[str]:
        """Connections on the pod's ports by state, without TIME_WAIT and other remains."""
        rows = self.run("ss", "-Htan")
        ports = {str(port) for port in self.ports}
        found = (row.split() for row in rows.splitlines())
        return Counter(
            NAMES[state]
            for state, _, _, local, *_ in found
            if state in NAMES and local.rpartition(":")[2] in ports
        )

    def passive_opens(self) -> int:
        lines = self.run("cat", "/proc/self/net/snmp").splitlines()
        names, values = (line.split() for line in lines if line.startswith("Tcp:"))
        return int(values[names.index("PassiveOpens")])

    def run(self, *argv: str) -> str:
        command = self.netns.command(list(argv))
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Churn:
    """All namespaces and the daemon that is restarted."""

    def __init__(self, stack: ExitStack, namespaces: int, processes: int) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.socket = self.folder / "drainmon.sock"
        self.namespaces = [Namespace(stack, processes) for _ in range(namespaces)]
        self.disagreements: list[str] = []

    @contextmanager
    def daemon(self, *flags: str) -> Iterator[int]:
        flags = (*FLAGS, *flags)
        with running_daemon(DAEMON, self.socket, self.folder / "log", flags) as pid:
            yield pid

    def pod(self, namespace: Namespace) -> dict[str, Any]:
        pods = get(self.socket, "/v1/pods")["pods"]
        return next((pod for pod in pods if pod["netns"] == namespace.netns.inode), {})

    def snapshot(self, namespace: Namespace) -> Counter[str]:
        curl = ["curl", "-sS", "--unix-socket", str(self.socket), "http://d/v1/self/connections"]
        found = json.loads(namespace.run(*curl))
        return Counter(c["state"] for c in found["connections"] if c["state"] != "TIME_WAIT")

    def begin(self, number: int) -> None:
        """Let the workers open `number` connections in all; returns at once."""
        share = number // sum(len(namespace.workers) for namespace in self.namespaces)
        for namespace in self.namespaces:
            namespace.send(f"run {share}")

    def end(self) -> int:
        """Wait for the workers; returns how many connections they opened."""
        return sum(namespace.answers() for namespace in self.namespaces)

    def accepted(self) -> dict[Namespace, tuple[int, int]]:
        """The daemon's and the kernel's counts of accepted connections; equal at a pause."""
        return {p: (self.pod(p).get("accepted", 0), p.passive_opens()) for p in self.namespaces}

    def compare(self, when: str) -> None:
        """Compare every source's states per pod. The daemon has a moment to correct itself."""
        for namespace in self.namespaces:
            deadline = time.monotonic() + SETTLE_SECONDS
            while True:
                listed, seen = namespace.ss(), self.snapshot(namespace)
                counted = Counter(self.pod(namespace).get("by_state", {}))
                if listed == seen == counted:
                    break
                if time.monotonic() > deadline:
                    self.disagree(f"{when}: ss {listed}, snapshot {seen}, counters {counted}")
                    break

    def compare_accepted(self, when: str, before: dict[Namespace, tuple[int, int]]) -> None:
        """Compare the daemon's and the kernel's counts since `before`."""
        for namespace, now in self.accepted().items():
            mine, kernels = (new - old for new, old in zip(now, before[namespace], strict=True))
            print(f"  {namespace.netns.name}: {mine} accepted, {kernels} passive opens")
            if mine != kernels:
                self.disagree(f"{when}: accepted {mine}, PassiveOpens {kernels}")

    def soon(self, condition: Callable[[], bool]) -> bool:
        """Whether the condition becomes true while the daemon has time to settle."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while not (true := condition()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return true

    def disagree(self, what: str) -> None:
        self.disagreements.append(what)
        print(f"  DISAGREEMENT {what}")


def churn(connections: int, namespaces: int, processes: int) -> list[str]:
    """Two rounds of two parts: one in which the daemon is killed, one undisturbed."""
    with ExitStack() as stack:
        run = Churn(stack, namespaces, processes)
        daemon = stack.enter_context(ExitStack())
        pid = daemon.enter_context(run.daemon())
        for namespace in run.namespaces:
            namespace.send("hold")
        run.end()
        part, done, began = connections // 4, 0, time.monotonic()
        for number in (1, 2):
            half = sum(namespace.passive_opens() for namespace in run.namespaces) + part // 2
            run.begin(part)
            while sum(namespace.passive_opens() for namespace in run.namespaces) < half:
                time.sleep(0.01)
            psutil.Process(pid).kill()
            daemon.close()
            pid = daemon.enter_context(run.daemon())
            done += run.end()
            run.compare(f"round {number}, after a restart under load")
            before = run.accepted()
            run.begin(part)
            done += run.end()
            run.compare(f"round {number}, undisturbed")
            run.compare_accepted(f"round {number}, undisturbed", before)
            health = get(run.socket, "/healthz")
            print(
                f"round {number}: {done} connections, {done / (time.monotonic() - began):.0f}/s,"
                f" states {dict(run.namespaces[0].ss())}, drift corrected {health['drift']},"
                f" missed {health['missed']}",
                flush=True,
            )
        return run.disagreements


def come_and_go(pods: int) -> list[str]:
    """Start and end pods with listeners and connections; nothing of them may remain."""
    with ExitStack() as stack:
        run = Churn(stack, 0, 0)
        pid = stack.enter_context(run.daemon("--process", "nginx"))
        process = psutil.Process(pid)
        maps = DaemonMaps(pid)
        sizes = []
        for groups in (pods // AT_ONCE // 4, pods // AT_ONCE * 3 // 4):
            for _ in range(groups):
                with many_pods(AT_ONCE, connections=4):
                    if not run.soon(lambda: len(maps.ports()) >= AT_ONCE * len(PORTS)):
                        run.disagree(f"only {len(maps.ports())} ports of {AT_ONCE} pods")
            if not run.soon(lambda: not maps.dead_ports()):
                run.disagree(f"{len(maps.dead_ports())} ports of dead namespaces are counted")
            sizes.append(process.memory_info().rss)
        grown = sizes[1] - sizes[0]
        left = get(run.socket, "/healthz")
        print(
            f"{pods} pods: daemon's memory {sizes[0] >> 10} kB after a quarter,"
            f" {sizes[1] >> 10} kB at the end, {process.num_fds()} files, missed {left['missed']}"
        )
        if grown > RSS_GROWTH:
            run.disagree(f"the daemon has grown by {grown >> 10} kB")
        return run.disagreements


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=1_000_000)
    parser.add_argument("--namespaces", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2, help="in each namespace")
    parser.add_argument(
        "--come-and-go", type=int, default=2_000, help="pods that start and end (source core only)"
    )
    options = parser.parse_args()
    disagreements = churn(options.connections, options.namespaces, options.processes)
    if options.come_and_go:
        disagreements += come_and_go(options.come_and_go)
    print(f"{len(disagreements)} disagreements")
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
