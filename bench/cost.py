"""What the daemon costs: memory, idle CPU, nanoseconds per event in the kernel. Root only.

`python -m bench.cost`: a daemon and one namespace of connections that come and go; the kernel's
own statistics say how long the program ran (kernel.bpf_stats_enabled).
"""

import argparse
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from bench.churn import Churn

STATS = Path("/proc/sys/kernel/bpf_stats_enabled")


def program(pid: int) -> dict[str, Any]:
    """What bpftool says of the daemon's tracing program."""
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        fields = dict(line.split(":", 1) for line in info.read_text().splitlines())
        if "prog_id" in fields:
            argv = ["bpftool", "-j", "prog", "show", "id", fields["prog_id"].strip()]
            shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
            found: dict[str, Any] = json.loads(shown)
            if found["name"] == "on_state":
                return found
    raise OSError("cannot find the daemon's program")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=100_000)
    parser.add_argument("--idle-seconds", type=float, default=20.0)
    options = parser.parse_args()
    before = STATS.read_text()
    with ExitStack() as stack:
        run = Churn(stack, namespaces=1, processes=2)
        pid = stack.enter_context(run.daemon("--reconcile-interval", "1s"))
        daemon = psutil.Process(pid)
        began = sum(daemon.cpu_times()[:2])
        time.sleep(options.idle_seconds)
        idle = (sum(daemon.cpu_times()[:2]) - began) / options.idle_seconds
        print(f"memory {daemon.memory_info().rss >> 10} kB, idle {idle:.3%} of a core")
        stack.callback(STATS.write_text, before)
        STATS.write_text("1")
        run.begin(options.connections)
        done = run.end()
        shown = program(pid)
        each = shown["run_time_ns"] / shown["run_cnt"]
        print(f"{done} connections, {shown['run_cnt']} events, {each:.0f} ns per event")
        print(f"memory after them {daemon.memory_info().rss >> 10} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
