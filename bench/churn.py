"""Counters, snapshots and ss after very many connections: `python -m bench.churn`.

Several processes in several namespaces open connections and end them in every way there is, while
the daemon is killed and restarted twice. Whenever they pause, what the daemon's counters say, what
its snapshot lists and what ss lists must be the same for every pod, and the connections accepted
since the last pause must be the namespace's own PassiveOpens. Then pods come and go. Exit
status 1 on any disagreement. Root only.
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
"""In which the daemon corrects itself and forgets dead namespaces: at that interval in 3."""
RSS_GROWTH = 2 << 20
AT_ONCE = 50
"""Pods that come and go together."""
NAMES = {
    "ESTAB": "ESTABLISHED", "SYN-RECV": "SYN_RECV", "FIN-WAIT-1": "FIN_WAIT1",
    "FIN-WAIT-2": "FIN_WAIT2", "CLOSE-WAIT": "CLOSE_WAIT", "LAST-ACK": "LAST_ACK",
    "CLOSING": "CLOSING",
}  # fmt: skip


class Place:
    """One namespace with its churning processes."""

    def __init__(self, stack: ExitStack, processes: int) -> None:
        self.netns = stack.enter_context(churn_netns())
        self.ports = [8000 + number for number in range(processes)]
        self.workers = [stack.enter_context(churner(self.netns, Spot(p))) for p in self.ports]

    def tell(self, command: str) -> None:
        for worker in self.workers:
            assert worker.stdin
            worker.stdin.write(command + "\n")

    def answers(self) -> int:
        """The sum of what the workers did."""
        return sum(int(worker.stdout.readline()) for worker in self.workers if worker.stdout)

    def ss(self) -> Counter[str]:
        """Connections on the pod's ports by state; what remains of closed ones left out."""
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
    """All places and the daemon that is restarted."""

    def __init__(self, stack: ExitStack, namespaces: int, processes: int) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.socket = self.folder / "drainmon.sock"
        self.places = [Place(stack, processes) for _ in range(namespaces)]
        self.disagreements: list[str] = []

    @contextmanager
    def daemon(self, *flags: str) -> Iterator[int]:
        flags = (*FLAGS, *flags)
        with running_daemon(DAEMON, self.socket, self.folder / "log", flags) as pid:
            yield pid

    def pod(self, place: Place) -> dict[str, Any]:
        pods = get(self.socket, "/v1/pods")["pods"]
        return next((pod for pod in pods if pod["netns"] == place.netns.inode), {})

    def snapshot(self, place: Place) -> Counter[str]:
        curl = ["curl", "-sS", "--unix-socket", str(self.socket), "http://d/v1/self/connections"]
        found = json.loads(place.run(*curl))
        return Counter(c["state"] for c in found["connections"] if c["state"] != "TIME_WAIT")

    def begin(self, number: int) -> None:
        """Have the workers open so many connections in all, from now on."""
        share = number // sum(len(place.workers) for place in self.places)
        for place in self.places:
            place.tell(f"run {share}")

    def end(self) -> int:
        """Wait until they have; how many it were."""
        return sum(place.answers() for place in self.places)

    def accepted(self) -> dict[Place, tuple[int, int]]:
        """What the daemon and the kernel have counted; at a pause they mean the same."""
        return {p: (self.pod(p).get("accepted", 0), p.passive_opens()) for p in self.places}

    def compare(self, when: str) -> None:
        """What everybody says of each pod's states. The daemon has a moment to correct itself."""
        for place in self.places:
            deadline = time.monotonic() + SETTLE_SECONDS
            while True:
                listed, seen = place.ss(), self.snapshot(place)
                counted = Counter(self.pod(place).get("by_state", {}))
                if listed == seen == counted:
                    break
                if time.monotonic() > deadline:
                    self.disagree(f"{when}: ss {listed}, snapshot {seen}, counters {counted}")
                    break

    def compare_accepted(self, when: str, before: dict[Place, tuple[int, int]]) -> None:
        """What the daemon and the kernel have counted since `before`."""
        for place, now in self.accepted().items():
            mine, kernels = (new - old for new, old in zip(now, before[place], strict=True))
            print(f"  {place.netns.name}: {mine} accepted, {kernels} passive opens")
            if mine != kernels:
                self.disagree(f"{when}: accepted {mine}, PassiveOpens {kernels}")

    def soon(self, condition: Callable[[], bool]) -> bool:
        """Whether it comes true while the daemon has time to settle."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while not (true := condition()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return true

    def disagree(self, what: str) -> None:
        self.disagreements.append(what)
        print(f"  DISAGREEMENT {what}")


def churn(connections: int, namespaces: int, processes: int) -> list[str]:
    """Two rounds of two parts each: one in which the daemon is killed, an undisturbed one."""
    with ExitStack() as stack:
        run = Churn(stack, namespaces, processes)
        daemon = stack.enter_context(ExitStack())
        pid = daemon.enter_context(run.daemon())
        for place in run.places:
            place.tell("hold")
        run.end()
        part, done, began = connections // 4, 0, time.monotonic()
        for number in (1, 2):
            half = sum(place.passive_opens() for place in run.places) + part // 2
            run.begin(part)
            while sum(place.passive_opens() for place in run.places) < half:
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
                f" states {dict(run.places[0].ss())}, drift corrected {health['drift']},"
                f" missed {health['missed']}",
                flush=True,
            )
        return run.disagreements


def come_and_go(pods: int) -> list[str]:
    """Pods in namespaces of their own, with listeners and connections, made and ended: nothing
    stays."""
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
    parser.add_argument("--come-and-go", type=int, default=2_000, help="pods that do")
    options = parser.parse_args()
    disagreements = churn(options.connections, options.namespaces, options.processes)
    disagreements += come_and_go(options.come_and_go)
    print(f"{len(disagreements)} disagreements")
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
