"""What drainmon costs a node: `python -m bench.cost`. Root only.

Nanoseconds per TCP state change by the kernel's own statistics (kernel.bpf_stats_enabled): each
program alone, in turns, over connections that end in every way. Side by side: drainmon on ports
that it counts, on other ports, and on ports that it counts in another namespace; bcc's tcpstates;
older builds; and an empty program, which shows the cost of measuring. Then the same with every CPU
on one port, compared with one CPU.

These statistics leave out the cost of reaching a program, so nginx's connections per second are
measured as well, with and without a daemon, in pairs of short turns: the median of the pairs and
its interval. Last come the daemon's memory and its work when nothing happens.

Exit status 1 when an event takes more than 150 ns on nginx's ports or 60 ns on others, not counting
the empty program's time, or when nginx certainly loses more than 1% of its connections per second.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import psutil

from bench import throughput
from bench.churn import Churn
from bench.rig.churning import Spot, churn_netns, churning
from bench.rig.errors import RigError
from bench.rig.programs import beside, counting_runs, empty, ours, runs
from bench.rig.tcpstates import tcpstates

COUNTED, OTHERS = "drainmon, nginx's ports", "drainmon, other ports"
ELSEWHERE, EMPTY = "drainmon, nginx's elsewhere", "an empty program"
AT_MOST = {COUNTED: 150.0, OTHERS: 60.0, ELSEWHERE: 60.0}
"""Nanoseconds per event."""
LOSS_AT_MOST = 0.01
PORT = 8000

Contender = Callable[[int, list[int]], AbstractContextManager[int]]
"""Attaches a program for a netns inode and the ports used there; yields the pid that holds it."""
Samples = dict[str, list[float]]


def turn(contender: Contender, spots: Iterable[Spot], connections: int) -> float:
    """Nanoseconds per event with this contender attached alone."""
    spots = list(spots)
    ports = sorted({spot.port for spot in spots})
    # Attach first: older builds learn of a port when it starts to listen.
    with (
        churn_netns() as namespace,
        contender(namespace.inode, ports) as pid,
        churning(namespace, spots) as load,
    ):
        load.run(connections // 10)
        before = runs(pid)
        load.run(connections)
        return runs(pid).since(before)


def contenders(others: Iterable[Path]) -> dict[str, Contender]:
    found: dict[str, Contender] = {
        COUNTED: ours,
        OTHERS: lambda netns, _: ours(netns),
        ELSEWHERE: lambda _, ports: ours(1, ports),
        EMPTY: lambda *_: empty(),
    }
    try:
        with tcpstates():
            found["tcpstates"] = lambda *_: tcpstates()
    except RigError as error:
        print(error)
    for path in others:
        found[str(path)] = lambda *_, path=path: beside(path)
    return found


def events(options: argparse.Namespace) -> bool:
    """Print the cost of an event, for two processes with a port each; whether it is low enough."""
    found = contenders(options.beside)
    taken: Samples = {name: [] for name in found}
    spots = [Spot(PORT), Spot(PORT + 1)]
    with counting_runs():
        for _ in range(options.rounds):
            for name, contender in found.items():
                taken[name].append(turn(contender, spots, options.connections))
    return report(f"ns per event, {options.rounds} turns", taken)


def contention(options: argparse.Namespace) -> bool:
    """Print the cost of an event with one CPU, all CPUs on one port, and a port per CPU."""
    cpus = sorted(os.sched_getaffinity(0))
    one, shared = f"CPU {cpus[0]} alone", f"{len(cpus)} CPUs, one port"
    apart = f"{len(cpus)} CPUs, a port each"
    # Two listeners on one port would share connections unless their addresses differ.
    everywhere = [Spot(PORT, f"127.1.0.{number}", cpu) for number, cpu in enumerate(cpus, 1)]
    loads = {
        one: everywhere[:1],
        shared: everywhere,
        apart: [Spot(PORT + s.cpu, s.address, s.cpu) for s in everywhere if s.cpu is not None],
    }
    taken: Samples = {name: [] for name in loads}
    with counting_runs():
        for _ in range(options.rounds):
            for name, spots in loads.items():
                taken[name].append(turn(ours, spots, options.connections))
    return report(f"ns per event, {COUNTED}", taken)


def report(title: str, taken: Samples) -> bool:
    """Print a table of nanoseconds; whether all values are within their limits."""
    floor = statistics.median(taken[EMPTY]) if EMPTY in taken else None
    width = max(map(len, (title, *taken)))
    heads = ("median", "least", "most", *(("less empty",) if floor else ()))
    print(f"{title:{width}}" + "".join(f"{head:>12}" for head in heads))
    good = True
    for name, samples in taken.items():
        cells = [statistics.median(samples), min(samples), max(samples)]
        if floor:
            cells.append(cells[0] - floor)
        # The kernel reads the clock twice for the measurement, not for the program.
        too_much = name in AT_MOST and cells[-1 if floor else 0] > AT_MOST[name]
        note = f"   more than {AT_MOST[name]:.0f}" if too_much else ""
        print(f"{name:{width}}" + "".join(f"{cell:12.0f}" for cell in cells) + note)
        good = good and not too_much
    return good


def nginx(options: argparse.Namespace) -> bool:
    """Print what nginx loses; whether the loss may be within the limit."""
    effects = {}
    try:
        with throughput.server() as pod:
            for name, attached in (
                (EMPTY, lambda _: empty()),
                ("a daemon", throughput.daemon),
            ):
                pairs = throughput.measure(pod, attached, options.pairs, options.requests)
                effects[name] = throughput.effect(list(pairs))
    except RigError as error:
        print(error)
        return True
    print(
        f"nginx's connections per second, {options.pairs} pairs of {options.requests} connections,"
    )
    print("both ends of each, and everything that serves them, on one CPU")
    verdicts = [report_effect(name, effect) for name, effect in effects.items()]
    return all(verdicts)


def report_effect(name: str, effect: throughput.Effect) -> bool:
    """Print the effect; False when it is certainly a loss beyond the limit."""
    gain = effect.gain
    print(
        f"with {name:18} {gain.median:+7.2%}   in 95 %: {gain.low:+.2%} to {gain.high:+.2%}"
        f"   {effect.seconds * 1e6:+.2f} us a connection   {effect.without:.0f}/s without"
    )
    if name == EMPTY:
        return True
    lost = gain.high < -LOSS_AT_MOST
    if lost:
        print(f"  a loss of more than {LOSS_AT_MOST:.0%}")
    elif gain.low < -LOSS_AT_MOST:
        print(f"  a loss of more than {LOSS_AT_MOST:.0%} cannot be ruled out")
    return not lost


def daemon(options: argparse.Namespace) -> bool:
    """Print the daemon's own use of memory and CPU."""
    with ExitStack() as stack:
        run = Churn(stack, namespaces=1, processes=2)
        pid = stack.enter_context(run.daemon("--reconcile-interval", "1s"))
        process = psutil.Process(pid)
        began = sum(process.cpu_times()[:2])
        time.sleep(options.idle_seconds)
        idle = (sum(process.cpu_times()[:2]) - began) / options.idle_seconds
        print(f"daemon's memory {process.memory_info().rss >> 10} kB, idle {idle:.3%} of a core")
        run.begin(options.connections)
        done = run.end()
        print(f"memory after {done} connections {process.memory_info().rss >> 10} kB")
    return True


PARTS = {"events": events, "contention": contention, "nginx": nginx, "daemon": daemon}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=30_000, help="of each turn")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each program")
    parser.add_argument(
        "--beside", type=Path, action="append", default=[], metavar="OBJECT",
        help="drainmon.bpf.o of another version, from when it found ports itself (repeatable)",
    )  # fmt: skip
    parser.add_argument("--pairs", type=int, default=60, help="of turns of nginx")
    parser.add_argument("--requests", type=int, default=5_000, help="of each of these turns")
    parser.add_argument("--idle-seconds", type=float, default=20.0)
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one (repeatable)")
    options = parser.parse_args()
    good = True
    for part in options.part or PARTS:
        good = PARTS[part](options) and good
        print(flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
