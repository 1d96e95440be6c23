"""What looking at 100,000 sockets costs: `python -m bench.procfs`.

Both ends of 50,000 loopback connections in one namespace, side by side: reading /proc/net/tcp raw,
a look of the source procfs (reading, parsing, making the list of sockets), psutil.net_connections
and ss. One pod has the accepted ends on its ports, another one has both; each is looked at for the
first time, again, and when one connection in a hundred has been used meanwhile. Processor time,
medians of rounds in which everybody has a turn. Exit status 1 when a second look costs much more
than reading raw. Root only.
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


def read_raw(table: int) -> None:
    os.lseek(table, 0, os.SEEK_SET)
    while os.read(table, 1 << 16):
        pass


def processor_time() -> float:
    """Seconds that this process and its ended children have used."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure(namespace: Netns, running: list[Holder], rounds: int) -> dict[str, list[float]]:
    """Seconds of each look, by who looked."""
    source = ProcfsSource(Nobody())
    servers = frozenset(range(SERVER_PORT, SERVER_PORT + len(running)))
    ports = {HALF: servers, EVERY: servers | {CLIENT_PORT}}
    numbers = itertools.count(1)
    ss = namespace.command(["ss", "-Htan"])
    by_psutil = namespace.command([sys.executable, "-c", PSUTIL])
    seconds: dict[str, list[float]] = {}

    def clock(name: str, work: Callable[[], object]) -> None:
        began = processor_time()
        work()
        seconds.setdefault(name, []).append(processor_time() - began)

    with closing(source), closing(source.open(running[0].pid)) as place:

        async def look(pod: Pod) -> None:
            await source.snapshot(pod, place)

        for _ in range(rounds):
            clock("read raw", lambda: read_raw(place.files[1]))
            for name, own in ports.items():
                pod = Pod(next(numbers), namespace.inode, Identity(), (), own)
                for which in (", first look", "", USED):
                    if which == USED:
                        use_some(running)
                    clock(name + which, partial(asyncio.run, look(pod)))
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
    with fresh_netns("drainmon-bench") as namespace, holders(namespace, options.pairs) as running:
        seconds = measure(namespace, running, options.rounds)
    print(f"{2 * options.pairs} sockets, median of {options.rounds} rounds")
    return 0 if report(seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
