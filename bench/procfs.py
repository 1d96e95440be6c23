"""What looking at 100,000 sockets costs: `python -m bench.procfs`.

Both ends of 50,000 loopback connections in one namespace, side by side: reading /proc/net/tcp raw,
a look of the source procfs (reading, parsing, making the list of sockets), psutil.net_connections
and ss. One pod has the accepted ends on its ports, another one has both; each is looked at for the
first time and again. Processor time, medians of rounds in which everybody has a turn. Exit status 1
when a look that is not the first costs much more than reading raw. Root only.
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
LOOK_AT_MOST = 1.4
"""Times what reading raw costs: a look at all rows, or half of them, on a machine that does nothing
else; others take the processor's cache away, and it is up to 1.7."""
PSUTIL = """
import time, psutil
began = time.process_time()
psutil.net_connections("tcp")
print(time.process_time() - began)
"""
"""It reads its own namespace only."""


class Nobody:
    """Wants to hear of nothing."""

    def listening(self, netns: int, port: int) -> None:
        """A new listener."""

    def changed(self, netns: int) -> None:
        """A change."""


def hold(number: int, pairs: int) -> None:
    """Keep both ends of so many connections, each used once, until stdin ends."""
    port = SERVER_PORT + number
    with ExitStack() as ends, socket.create_server(("127.0.0.1", port), backlog=4096) as listener:
        for pair in range(pairs):
            client = ends.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind((f"127.{number + 1}.{pair >> 8}.{pair & 255}", CLIENT_PORT))
            client.connect(("127.0.0.1", port))
            accepted = ends.enter_context(listener.accept()[0])
            for sender, receiver in ((client, accepted), (accepted, client)):
                sender.send(b"something")
                receiver.recv(100)
        print("ready", flush=True)
        sys.stdin.read()


@contextmanager
def holders(namespace: Netns, pairs: int) -> Iterator[list[int]]:
    """The pids of processes that hold the connections."""
    with ExitStack() as stack:
        running = []
        for number, first in enumerate(range(0, pairs, PAIRS_PER_HOLDER)):
            share = str(min(PAIRS_PER_HOLDER, pairs - first))
            argv = [sys.executable, "-m", "bench.procfs", "--hold", str(number), "--pairs", share]
            holder = subprocess.Popen(
                namespace.command(argv), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            running.append(stack.enter_context(holder))
        for holder in running:
            assert holder.stdout
            assert holder.stdout.readline() == b"ready\n"
        yield [holder.pid for holder in running]


def read_raw(table: int) -> None:
    os.lseek(table, 0, os.SEEK_SET)
    while os.read(table, 1 << 16):
        pass


def processor_time() -> float:
    """Seconds that this process and its ended children have used."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure(namespace: Netns, pids: list[int], rounds: int) -> dict[str, list[float]]:
    """Seconds of each look, by who looked."""
    source = ProcfsSource(Nobody())
    servers = frozenset(range(SERVER_PORT, SERVER_PORT + len(pids)))
    ports = {HALF: servers, EVERY: servers | {CLIENT_PORT}}
    numbers = itertools.count(1)
    ss = namespace.command(["ss", "-Htan"])
    by_psutil = namespace.command([sys.executable, "-c", PSUTIL])
    seconds: dict[str, list[float]] = {}

    def clock(name: str, work: Callable[[], object]) -> None:
        began = processor_time()
        work()
        seconds.setdefault(name, []).append(processor_time() - began)

    with closing(source), closing(source.open(pids[0])) as place:

        async def look(pod: Pod) -> None:
            await source.snapshot(pod, place)

        for _ in range(rounds):
            clock("read raw", lambda: read_raw(place.files[1]))
            for name, own in ports.items():
                pod = Pod(next(numbers), namespace.inode, Identity(), (), own)
                for again in (", first look", ""):
                    clock(name + again, partial(asyncio.run, look(pod)))
            inside = subprocess.run(by_psutil, check=True, capture_output=True).stdout
            seconds.setdefault("psutil.net_connections", []).append(float(inside))
            clock("ss", lambda: subprocess.run(ss, check=True, stdout=subprocess.DEVNULL))
    return seconds


def report(seconds: dict[str, list[float]]) -> bool:
    """Print what each look costs; whether those of the source are cheap enough."""
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    raw = medians["read raw"]
    for name, middle in medians.items():
        print(f"{name:38} {middle * 1e3:8.1f} ms {middle / raw:6.2f} x raw")
    return all(medians[name] <= LOOK_AT_MOST * raw for name in (HALF, EVERY))


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
    with fresh_netns("drainmon-bench") as namespace, holders(namespace, options.pairs) as pids:
        seconds = measure(namespace, pids, options.rounds)
    print(f"{2 * options.pairs} sockets, median of {options.rounds} rounds")
    return 0 if report(seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
