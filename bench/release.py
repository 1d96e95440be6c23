"""How long drainmon-wait takes to exit after a pod's last connection: `python -m bench.release`.

One nginx, one connection in flight, one waiting client; the connection is reset, and the time to
the client's exit is taken. Measures the client with the daemon and, side by side, alone. Root only.
"""

import argparse
import os
import select
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.rig.daemon import running_daemon
from bench.rig.errors import RigError
from bench.rig.netns import fresh_netns
from bench.rig.pod import FakePod

ROOT = Path(__file__).resolve().parents[1]
CLIENT = ROOT / "build" / "drainmon-wait"
FLAGS = ["--min-wait=0", "--quiet=0", "--no-roll", "--no-pod-log"]


def release(pod: FakePod, path: Path) -> float:
    """Seconds from the reset of the pod's only connection to the exit of the waiting client."""
    with pod.client.socket() as connection:
        connection.connect((pod.address, pod.port))
        connection.sendall(b"GET / HTTP/1.1\r\n")  # never finished: in flight
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        argv = pod.netns.command([str(CLIENT), f"--socket={path}", *FLAGS])
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as waiting:
            assert waiting.stdout
            if not any(b"waiting" in line for line in waiting.stdout):
                raise RigError("cannot measure a release: the client did not wait")
            pidfd = os.pidfd_open(waiting.pid)
            try:
                began = time.perf_counter()
                connection.close()
                select.select([pidfd], [], [], 30)
                return time.perf_counter() - began
            finally:
                os.close(pidfd)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    trials = parser.parse_args().trials
    with (
        tempfile.TemporaryDirectory() as folder,
        fresh_netns("drainmon-bench") as client,
        FakePod(client) as pod,
    ):
        served, none = Path(folder, "drainmon.sock"), Path(folder, "none.sock")
        times: dict[str, list[float]] = {"daemon": [], "client alone": []}
        daemon = Path(sys.executable).with_name("drainmon")
        with running_daemon(daemon, served, Path(folder, "log")):
            for _ in range(trials):
                times["daemon"].append(release(pod, served))
                times["client alone"].append(release(pod, none))
    print(f"release after the last connection's end, {trials} trials, milliseconds")
    for name, seconds in times.items():
        ms = sorted(second * 1e3 for second in seconds)
        p99 = ms[min(len(ms) - 1, round(len(ms) * 0.99))]
        print(f"{name:14} median {statistics.median(ms):7.2f}   p99 {p99:7.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
