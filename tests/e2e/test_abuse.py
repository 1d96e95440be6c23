"""A pod that takes all that it can get does not affect other pods."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.rig.daemon import healthy, running_daemon
from bench.rig.netns import Netns
from bench.rig.pod import FakePod
from drainmon.server.limits import CONNECTIONS, EXCESS
from tests.e2e.harness import DAEMON, SERVE, Daemon, MakePod, wait_argv
from tests.e2e.one_idle import drain_with_one_idle
from tests.waiting import eventually

pytestmark = pytest.mark.root

QUICK = {"min_wait": "0.1s", "quiet": "0.1s", "timeout": "20s"}
ALONE_SECONDS = 3.0
"""More than such a drain takes alone: less than one."""

HOLD = """
import select, socket, sys
held = []
for _ in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    held.append(s)
refused = 0
while len(held) - refused > int(sys.argv[3]):
    ready, _, _ = select.select(held[refused:], [], [])
    for s in ready:
        assert b" 429 " in s.recv(9999), "too many"
        held.remove(s)
        held.insert(0, s)
        refused += 1
print(len(held) - refused, flush=True)
sys.stdin.read()
"""
"""Opens connections and stays silent; prints how many stay open after the others got 429."""

FLOOD = """
import os, selectors, socket, sys
os.nice(19)  # how much of the node's processors a pod has is not the daemon's concern
request = b"%s HTTP/1.1\\r\\nHost: d\\r\\nContent-Length: 0\\r\\n\\r\\n"
ways = [b"", request % b"GET /v1/self", b"GET /v1/", b"nonsense\\r\\n\\r\\n",
        request % b"POST /v1/self/drain", request % b"GET /v1/self/connections"]
selector = selectors.DefaultSelector()
opened = 0
def another():
    global opened
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    opened += 1
    try:
        s.send(ways[opened % len(ways)], socket.MSG_NOSIGNAL)
    except OSError:
        pass
    selector.register(s, selectors.EVENT_READ)
for _ in range(1000):
    another()
while True:
    for key, _ in selector.select():
        try:
            more = key.fileobj.recv(9999)
        except OSError:
            more = b""
        if not more or b" 429 " in more:
            selector.unregister(key.fileobj)
            key.fileobj.close()
            another()
    if opened > 3000:
        print("flooded", flush=True)
        opened = -10 ** 9
"""
"""A thousand connections, each replaced as soon as the daemon has closed it."""


@contextmanager
def running(netns: Netns, code: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a pod's namespace, until the block ends."""
    argv = netns.command([sys.executable, "-c", code, *map(str, arguments)])
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout
    return process.stdout.readline().decode().strip()


def files(daemon: Daemon) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


def drains_as_if_alone(daemon: Daemon, pod: FakePod) -> None:
    hook = wait_argv(daemon.socket, **QUICK)
    assert drain_with_one_idle(daemon, pod, hook)["seconds"] < ALONE_SECONDS


def test_a_thousand_connections_of_one_pod_do_not_delay_another(
    daemon: Daemon, make_pod: MakePod
) -> None:
    greedy, modest = make_pod(), make_pod()
    before = files(daemon)
    most = CONNECTIONS + EXCESS
    with running(greedy.netns, HOLD, daemon.socket, 1000, most) as hog:
        assert said(hog) == str(most)
        drains_as_if_alone(daemon, modest)
    eventually(lambda: files(daemon) <= before)


def test_a_flood_of_connections_from_one_pod_does_not_delay_another(
    daemon: Daemon, make_pod: MakePod
) -> None:
    hostile, pod = make_pod(), make_pod()
    with running(hostile.netns, FLOOD, daemon.socket) as flood:
        assert said(flood) == "flooded"
        drains_as_if_alone(daemon, pod)
        assert flood.poll() is None


def test_a_client_that_never_reads_is_disconnected(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    code = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
print("begun", flush=True)
while True:
    s.send(b"GET /v1/self HTTP/1.1\\r\\nHost: d\\r\\n\\r\\n")
"""
    before = files(daemon)
    with running(pod.netns, code, daemon.socket) as caller:
        assert said(caller) == "begun"
        assert caller.wait(40) != 0  # the daemon has closed the connection
    eventually(lambda: files(daemon) <= before)


def test_one_pod_does_not_use_up_the_daemons_descriptors(tmp_path: Path, netns: Netns) -> None:
    daemon = Daemon(tmp_path)
    argv = ["prlimit", "--nofile=128:128", *SERVE, "--socket", str(daemon.socket)]
    with daemon.log.open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        eventually(lambda: healthy(daemon.socket))
        with running(netns, HOLD, daemon.socket, 200, 128 // 8 + EXCESS) as hog:
            assert said(hog) == str(128 // 8 + EXCESS)
            assert healthy(daemon.socket)
        assert "cannot accept" not in daemon.log.read_text()
    finally:
        process.terminate()
        assert process.wait(5) == 0


def test_a_lack_of_descriptors_does_not_end_the_daemon(tmp_path: Path, netns: Netns) -> None:
    daemon = Daemon(tmp_path)
    with running_daemon(DAEMON, daemon.socket, daemon.log) as daemon.pid:
        most = files(daemon) + 4
        subprocess.run(["prlimit", f"--pid={daemon.pid}", f"--nofile={most}:"], check=True)
        with running(netns, HOLD, daemon.socket, 20, 20) as hog:
            assert said(hog) == "20"
            for port in range(8000, 8010):
                with netns.socket() as listener:  # each causes a scan
                    listener.bind(("127.0.0.1", port))
                    listener.listen()
            eventually(lambda: "Too many open files" in daemon.log.read_text())
        eventually(lambda: healthy(daemon.socket))
