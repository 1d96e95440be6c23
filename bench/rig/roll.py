"""Replace the workers of an nginx that is pid 1: `python -m bench.rig.roll quit
quit-hup
hup`, part of a hook. Begins when no connection has come for QUIET seconds; `make bench-roll`
compares these methods.
"""

import math
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

MASTER = 1
QUIET = 1.5
LOOK_EVERY = 0.02
PATIENCE = 1.0
"""How long `quit-hup` waits for a replacement."""


def passive_opens() -> int:
    """The connections that this network namespace has accepted."""
    titles, values = (
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if "Tcp:" in line
    )
    return int(values[titles.index("PassiveOpens")])


def workers() -> set[int]:
    """The master's workers that accept connections."""
    found = set()
    for child in Path(f"/proc/{MASTER}/task/{MASTER}/children").read_text().split():
        try:
            title = Path(f"/proc/{child}/cmdline").read_bytes().rstrip(b"\0 ")
        except OSError:  # it has ended
            continue
        if title.endswith(b"worker process"):
            found.add(int(child))
    return found


def settle() -> None:
    seen, since = passive_opens(), time.monotonic()
    while time.monotonic() < since + QUIET:
        time.sleep(LOOK_EVERY)
        if (now := passive_opens()) != seen:
            seen, since = now, time.monotonic()


def by_quitting(patience: float = math.inf) -> None:
    """SIGQUIT to all workers but one, and to that one once the first replacement has started: none
    starts while connections hold the signalled workers. SIGHUP to the master when that takes too
    long."""
    old = sorted(workers())
    for worker in old[:-1]:
        os.kill(worker, signal.SIGQUIT)
    began = time.monotonic()
    while workers() <= set(old):
        if time.monotonic() > began + patience:
            print("no worker was replaced")
            by_reload()
            return
        time.sleep(LOOK_EVERY)
    os.kill(old[-1], signal.SIGQUIT)
    print(f"the last worker was signalled {time.monotonic() - began:.2f} s after the first")


def by_reload() -> None:
    os.kill(MASTER, signal.SIGHUP)


WAYS: dict[str, Callable[[], None]] = {
    "quit": by_quitting,
    "quit-hup": lambda: by_quitting(PATIENCE),
    "hup": by_reload,
}

if __name__ == "__main__":
    settle()
    WAYS[sys.argv[1]]()
