"""What a snapshot of a pod's sockets costs: `python -m bench.procfs`.

Both ends of loopback connections in one namespace: 1,000, 10,000 and 100,000 used sockets, with the
accepted ends on the pod's ports. Side by side: the source procfs by sock_diag and by the rows of
/proc/<pid>/net (reading, parsing, and counting connections in flight), reading those files raw, ss
with the same filter, and psutil.net_connections. Reports processor time, as medians of rounds in
which every method has a turn. Exit status 1 unless sock_diag costs less than ss and less than the
rows for 10,000 sockets and more. Root only.
"""

import argparse
import asyncio
import os
import resource
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

from bench.rig.netns import Netns, fresh_netns
from drainmon.pods.identity import Identity
from drainmon.pods.pod import Pod
from drainmon.sources.pod_net import PodNet
from drainmon.sources.procfs import ProcfsSource

ROOT = Path(__file__).resolve().parents[1]
PAIRS_PER_HOLDER = 8_000
"""The limit of open files per process."""
SERVER_PORT, CLIENT_PORT = 8080, 7070
SIZES = (1_000, 10_000, 100_000)
DIAG, ROWS, RAW = "procfs by sock_diag", "procfs by rows", "read raw"
SS, PSUTIL_NAME = "ss", "psutil.net_connections"
JUDGED = 10_000
"""The least number of sockets that is judged: below, ss spends most time on starting its process.
"""
PSUTIL = """
import time, psutil
began = time.process_time()
psutil.net_connections("tcp")
print(time.process_time() - began)
"""
"""Reads its own namespace only."""


Holder = subprocess.Popen[bytes]


class NoListener:
    """A listener that ignores every event."""

    def listening(self) -> None:
        """Ignores a new listener."""

    def changed(self, netns: int) -> None:
        """Ignores a change."""


def exchange(one: socket.socket, other: socket.socket) -> None:
    for sender, receiver in ((one, other), (other, one)):
        sender.send(b"something")
        receiver.recv(100)


def hold(number: int, pairs: int) -> None:
    """Keep both ends of `pairs` connections, each used once, until stdin ends."""
    port = SERVER_PORT + number
    with ExitStack() as ends, socket.create_server(("127.0.0.1", port), backlog=4096) as listener:
        for pair in range(pairs):
            client = ends.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind((f"127.{number + 1}.{pair >> 8}.{pair & 255}", CLIENT_PORT))
            client.connect(("127.0.0.1", port))
            accepted = ends.enter_context(listener.accept()[0])
            exchange(client, accepted)
        print("ready", flush=True)
        sys.stdin.read()


def await_ready(running: list[Holder]) -> None:
    for holder in running:
        assert holder.stdout
        assert holder.stdout.readline() == b"ready\n"


@contextmanager
def holders(namespace: Netns, pairs: int) -> Iterator[list[Holder]]:
    """Run processes that hold the connections."""
    with ExitStack() as stack:
        running = []
        for number, first in enumerate(range(0, pairs, PAIRS_PER_HOLDER)):
            share = str(min(PAIRS_PER_HOLDER, pairs - first))
            argv = [sys.executable, "-m", "bench.procfs", "--hold", str(number), "--pairs", share]
            holder = subprocess.Popen(
                namespace.command(argv), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            running.append(stack.enter_context(holder))
        await_ready(running)
        yield running


def read_raw(tables: list[int]) -> None:
    for table in tables:
        os.lseek(table, 0, os.SEEK_SET)
        while os.read(table, 1 << 16):
            pass


def processor_time() -> float:
    """Seconds of CPU time of this process and its finished children."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure(namespace: Netns, running: list[Holder], rounds: int) -> dict[str, float]:
    """Seconds of processor time that each method takes."""
    ports = frozenset(range(SERVER_PORT, SERVER_PORT + len(running)))
    pod = Pod(1, namespace.inode, Identity(), (), ports)
    ss = namespace.command(["ss", "-Htani", *_ss_filter(ports)])
    by_psutil = namespace.command([sys.executable, "-c", PSUTIL])
    taken: dict[str, list[float]] = {}

    with ExitStack() as stack:
        looks = {}
        for name, by_diag in ((DIAG, True), (ROWS, False)):
            source = stack.enter_context(closing(ProcfsSource(NoListener(), by_diag=by_diag)))
            place = stack.enter_context(closing(source.open(running[0].pid)))
            looks[name] = partial(_run_look, source, pod, place)
        tables = place.tables

        for _ in range(rounds):
            clock(taken, RAW, lambda: read_raw(tables))
            for name, one in looks.items():
                clock(taken, name, one)
            clock(taken, SS, lambda: subprocess.run(ss, check=True, stdout=subprocess.DEVNULL))
            done = subprocess.run(by_psutil, check=True, capture_output=True)
            taken.setdefault(PSUTIL_NAME, []).append(float(done.stdout))
    return {name: statistics.median(some) for name, some in taken.items()}


def _run_look(source: ProcfsSource, pod: Pod, place: PodNet) -> int:
    async def body() -> int:
        return len((await source.snapshot(pod, place)).in_flight())

    return asyncio.run(body())


def clock(taken: dict[str, list[float]], name: str, work: Callable[[], object]) -> None:
    began = processor_time()
    work()
    taken.setdefault(name, []).append(processor_time() - began)


def _ss_filter(ports: frozenset[int]) -> list[str]:
    return " or ".join(f"sport = :{port}" for port in sorted(ports)).split()


def report(taken: dict[int, dict[str, float]]) -> bool:
    """Print the cost of each method; whether sock_diag is cheap enough."""
    names = (DIAG, ROWS, RAW, SS, PSUTIL_NAME)
    print(f"{'ms of processor time':26}" + "".join(f"{size:>12,}" for size in taken))
    for name in names:
        print(f"{name:26}" + "".join(f"{costs[name] * 1e3:12.1f}" for costs in taken.values()))
    return all(
        costs[DIAG] < min(costs[ROWS], costs[SS]) for size, costs in taken.items() if size >= JUDGED
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of sockets")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--hold", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--pairs", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hold is not None:
        hold(options.hold, options.pairs)
        return 0
    taken = {}
    for size in options.sizes:
        with fresh_netns("drainmon-bench") as namespace, holders(namespace, size // 2) as running:
            taken[size] = measure(namespace, running, options.rounds)
    print(
        f"both ends of each connection, half of them the pod's; median of {options.rounds} rounds"
    )
    return 0 if report(taken) else 1


if __name__ == "__main__":
    sys.exit(main())
