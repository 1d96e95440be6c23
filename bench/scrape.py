"""What a scrape of /metrics costs on a node with very many pods: `python -m bench.scrape`.

A daemon and 500 pods with two ports and ten connections each. Reports the daemon's CPU time per
scrape without its idle time; the duration of a scrape; and the effect on others: the duration of
GET /healthz meanwhile, and the time from a pod's last connection to the exit of its waiting client.
Exit status 1 when a scrape costs more processor time than allowed. Root only.
"""

import argparse
import http.client
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.release import release
from bench.rig.daemon import running_daemon
from bench.rig.many import many_pods
from bench.rig.netns import fresh_netns
from bench.rig.pod import FakePod
from drainmon.cli.client import get

ROOT = Path(__file__).resolve().parents[1]
DAEMON = Path(sys.executable).with_name("drainmon")
PAUSE = 0.25
"""Seconds between two scrapes: every scrape reads all counters anew."""
SCRAPE_AT_MOST = 0.010
"""The limit for a scrape of 500 pods, in seconds of the daemon's processor time."""


class Client:
    """A persistent connection to the daemon."""

    def __init__(self, path: Path) -> None:
        self._http = http.client.HTTPConnection("drainmon")
        self._http.sock = socket.socket(socket.AF_UNIX)
        self._http.sock.connect(str(path))

    def get(self, resource: str) -> tuple[float, bytes]:
        """The request's duration in seconds, and the response."""
        began = time.perf_counter()
        self._http.request("GET", resource)
        body = self._http.getresponse().read()
        return time.perf_counter() - began, body

    def close(self) -> None:
        self._http.close()


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


@contextmanager
def scraping(path: Path) -> Iterator[list[float]]:
    """Scrape continuously; yields the seconds that each scrape took."""
    took: list[float] = []
    stop = threading.Event()

    def body() -> None:
        with closing(Client(path)) as client:
            while not stop.wait(PAUSE):
                took.append(client.get("/metrics")[0])

    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()


def pings(path: Path, seconds: float) -> list[float]:
    """The duration of each GET /healthz."""
    with closing(Client(path)) as client:
        until = time.monotonic() + seconds
        took = []
        while time.monotonic() < until:
            took.append(client.get("/healthz")[0])
            time.sleep(0.001)
        return took


def print_quantiles(name: str, seconds: list[float]) -> None:
    ms = sorted(second * 1e3 for second in seconds)
    p99 = ms[min(len(ms) - 1, round(len(ms) * 0.99))]
    print(f"{name:38} median {statistics.median(ms):7.2f}   p99 {p99:7.2f}   most {ms[-1]:7.2f} ms")


def report(used: float, idle: float, scrapes: int, seconds: float) -> bool:
    """Print the cost of a scrape from the processor time used while scraped and while idle, over
    `seconds` each; whether a scrape is cheap enough."""
    each = (used - idle) / scrapes
    print(f"daemon's CPU time per scrape {each * 1e3:.2f} ms, idle {idle / seconds:.2%}")
    return each <= SCRAPE_AT_MOST


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pods", type=int, default=500)
    parser.add_argument("--connections", type=int, default=10, help="of each pod")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each part")
    parser.add_argument("--releases", type=int, default=50)
    parser.add_argument("--source", default="auto")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        many_pods(options.pods, options.connections),
        fresh_netns("drainmon-bench") as client,
        FakePod(client) as pod,
        running_daemon(
            DAEMON, path := Path(folder, "s"), Path(folder, "log"), ["--source", options.source]
        ) as pid,
    ):
        with closing(Client(path)) as first:
            while first.get("/metrics")[1].count(b"drainmon_in_flight{") < options.pods:
                time.sleep(PAUSE)
            size = len(first.get("/metrics")[1])
        source = get(path, "/healthz")["source"]
        print(f"{options.pods} pods, source {source}, {size >> 10} kB a scrape")
        began = cpu_seconds(pid)
        time.sleep(options.seconds)
        idle = cpu_seconds(pid) - began
        began = cpu_seconds(pid)
        with scraping(path) as took:
            time.sleep(options.seconds)
        cheap = report(cpu_seconds(pid) - began, idle, len(took), options.seconds)
        print_quantiles("a scrape", took)
        print_quantiles("healthz, no scrapes", pings(path, options.seconds))
        with scraping(path):
            print_quantiles("healthz, scraped 4 times a second", pings(path, options.seconds))
        print_quantiles(
            "release, no scrapes", [release(pod, path) for _ in range(options.releases)]
        )
        with scraping(path):
            times = [release(pod, path) for _ in range(options.releases)]
        print_quantiles("release, scraped 4 times a second", times)
    return 0 if cheap else 1


if __name__ == "__main__":
    sys.exit(main())
