"""What looking at 100,000 sockets costs: `python -m bench.procfs`.

Both ends of 50,000 loopback connections in one namespace, side by side: reading /proc/net/tcp and
tcp6 raw, a look of the source procfs (reading them, parsing, making the list of sockets),
psutil.net_connections and ss. One pod has the accepted ends on its ports, another one has both.
Each is looked at for the first time, again, and when one connection in a hundred has been used
meanwhile. Processor time, medians of rounds in which everybody has a turn; the tables are read raw
before each, as that costs more and less from one second to the next. Exit status 1 when a second
look costs much more. Root only.
"""

import argparse
import asyncio
import itertools
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
from typing import NamedTuple

from bench.rig.netns import Netns, fresh_netns
from drainmon.pods.identity import Identity
from drainmon.pods.pod import Pod
from drainmon.sources.procfs import ProcfsSource

ROOT = Path(__file__).resolve().parents[1]
PAIRS_PER_HOLDER = 8_000
"""A process may open only so many files."""
SERVER_PORT, CLIENT_PORT = 8080, 7070
HALF = "procfs, half on its ports"
EVERY = "procfs, all on its ports"
USED = ", 1 % used"
BUSY = 100
"""One connection in so many."""
LOOK_AT_MOST = 1.4
"""Times what reading raw costs, a second look at all rows or half of them."""
PSUTIL = """
import time, psutil
began = time.process_time()
psutil.net_connections("tcp")
print(time.process_time() - began)
"""
"""It reads its own namespace only."""


Holder = subprocess.Popen[bytes]


class Nobody:
    """Wants to hear of nothing."""

    def listening(self, netns: int, port: int) -> None:
        """A new listener."""

    def changed(self, netns: int) -> None:
        """A change."""


def exchange(one: socket.socket, other: socket.socket) -> None:
    for sender, receiver in ((one, other), (other, one)):
        sender.send(b"something")
        receiver.recv(100)


def hold(number: int, pairs: int) -> None:
    """Keep both ends of so many connections, each used once, and some for each line of stdin."""
    port = SERVER_PORT + number
    busy = []
    with ExitStack() as ends, socket.create_server(("127.0.0.1", port), backlog=4096) as listener:
        for pair in range(pairs):
            client = ends.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind((f"127.{number + 1}.{pair >> 8}.{pair & 255}", CLIENT_PORT))
            client.connect(("127.0.0.1", port))
            accepted = ends.enter_context(listener.accept()[0])
            exchange(client, accepted)
            if pair % BUSY == 0:
                busy.append((client, accepted))
        print("ready", flush=True)
        for _ in sys.stdin:
            for client, accepted in busy:
                exchange(client, accepted)
            print("ready", flush=True)


def await_ready(running: list[Holder]) -> None:
    for holder in running:
        assert holder.stdout
        assert holder.stdout.readline() == b"ready\n"


def use_some(running: list[Holder]) -> None:
    """Let one connection in a hundred be used."""
    for holder in running:
        assert holder.stdin
        holder.stdin.write(b"\n")
        holder.stdin.flush()
    await_ready(running)


@contextmanager
def holders(namespace: Netns, pairs: int) -> Iterator[list[Holder]]:
    """Processes that hold the connections."""
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
    """Seconds that this process and its ended children have used."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


class Taken(NamedTuple):
    """Seconds of processor time: a look, and reading raw just before it."""

    look: float
    raw: float


def measure(namespace: Netns, running: list[Holder], rounds: int) -> dict[str, list[Taken]]:
    """What each look took, by who looked."""
    source = ProcfsSource(Nobody())
    servers = frozenset(range(SERVER_PORT, SERVER_PORT + len(running)))
    ports = {HALF: servers, EVERY: servers | {CLIENT_PORT}}
    numbers = itertools.count(1)
    ss = namespace.command(["ss", "-Htan"])
    by_psutil = namespace.command([sys.executable, "-c", PSUTIL])
    taken: dict[str, list[Taken]] = {}

    def seconds(work: Callable[[], object]) -> float:
        began = processor_time()
        work()
        return processor_time() - began

    def psutil_seconds() -> float:
        return float(subprocess.run(by_psutil, check=True, capture_output=True).stdout)

    with closing(source), closing(source.open(running[0].pid)) as place:
        _, *tables = place.files

        async def look(pod: Pod) -> None:
            await source.snapshot(pod, place)

        def clock(name: str, look_seconds: Callable[[], float]) -> None:
            raw = seconds(lambda: read_raw(tables))
            taken.setdefault(name, []).append(Taken(look_seconds(), raw))

        for _ in range(rounds):
            pods = {
                name: Pod(next(numbers), namespace.inode, Identity(), (), own)
                for name, own in ports.items()
            }
            for which in (", first look", "", USED):
                if which == USED:
                    use_some(running)
                for name, pod in pods.items():
                    clock(name + which, partial(seconds, partial(asyncio.run, look(pod))))
            clock("psutil.net_connections", psutil_seconds)
            run_ss = partial(subprocess.run, ss, check=True, stdout=subprocess.DEVNULL)
            clock("ss", partial(seconds, run_ss))
    return taken


def report(taken: dict[str, list[Taken]]) -> bool:
    """Print what each look costs; whether those of the source are cheap enough."""
    raw = statistics.median(one.raw for looks in taken.values() for one in looks)
    print(f"{'read raw':38} {raw * 1e3:8.1f} ms")
    ratios = {}
    for name, looks in taken.items():
        middle = statistics.median(one.look for one in looks)
        ratios[name] = statistics.median(one.look / one.raw for one in looks)
        print(f"{name:38} {middle * 1e3:8.1f} ms {ratios[name]:6.2f} x raw")
    return all(ratios[name] <= LOOK_AT_MOST for name in (HALF, EVERY))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--hold", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hold is not None:
        hold(options.hold, options.pairs)
        return 0
    with fresh_netns("drainmon-bench") as namespace, holders(namespace, options.pairs) as running:
        taken = measure(namespace, running, options.rounds)
    print(f"{2 * options.pairs} sockets, median of {options.rounds} rounds")
    return 0 if report(taken) else 1


if __name__ == "__main__":
    sys.exit(main())
