"""More ports than the daemon counts, and lost events: both are reported, counts stay correct."""

import signal
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from bench.rig.maps import DaemonMaps
from bench.rig.netns import Netns
from bench.rig.pod import FakePod
from drainmon.cli.client import get
from drainmon.sources.shares import SHARE
from tests.e2e.api import pod_in, record_of
from tests.e2e.connections import Connection
from tests.e2e.harness import Daemon, MakePod, daemon_in, finish, listed, wait_argv
from tests.listening import listen_on_many
from tests.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.core]

MANY = range(20000, 20000 + SHARE + 50)


def agrees(daemon: Daemon, pod: FakePod, connections: int) -> bool:
    shown = pod_in(daemon.socket, pod.netns.inode).get("by_state")
    return shown == {"ESTABLISHED": connections} and listed(pod.netns, pod.port) == connections


def open_connections(stack: ExitStack, pod: FakePod, number: int) -> None:
    for _ in range(number):
        assert stack.enter_context(Connection(pod)).get()


def test_listeners_of_other_programs_take_no_room_in_the_maps(
    tmp_path: Path, netns: Netns, make_pod: MakePod
) -> None:
    """While the daemon is stopped: their events do not queue up."""
    known = make_pod()
    with daemon_in(tmp_path) as daemon, ExitStack() as stack:
        open_connections(stack, known, 2)
        eventually(lambda: agrees(daemon, known, 2))
        process = psutil.Process(daemon.pid)
        process.send_signal(signal.SIGSTOP)
        try:
            listen_on_many(netns, range(20000, 40000))
            new = make_pod()
            open_connections(stack, known, 1)
            open_connections(stack, new, 4)
        finally:
            process.send_signal(signal.SIGCONT)
        eventually(lambda: agrees(daemon, known, 3))
        eventually(lambda: agrees(daemon, new, 4))
        assert not any(get(daemon.socket, "/healthz")["missed"].values())
        counted = DaemonMaps(daemon.pid).ports()
        assert {inode for inode, _ in counted} >= {known.netns.inode, new.netns.inode}
        assert netns.inode not in {inode for inode, _ in counted}


def test_a_pod_with_more_ports_than_its_share_is_still_drained(
    tmp_path: Path, make_pod: MakePod
) -> None:
    """Its share is counted, the rest is found by snapshots, and other pods keep their shares. As
    arrivals are unknown, it is drained no earlier than half of the timeout."""
    other = make_pod()
    pod = make_pod(server="".join(f"listen {port};" for port in MANY))
    with daemon_in(tmp_path) as daemon:
        said = f'"ports": {len(MANY) + 1}, "counted": {SHARE}'
        eventually(lambda: said in daemon.log.read_text())
        counted = DaemonMaps(daemon.pid).ports()
        assert sum(inode == pod.netns.inode for inode, _ in counted) == SHARE
        assert (other.netns.inode, other.port) in counted
        port = next(port for port in MANY if (pod.netns.inode, port) not in counted)
        with Connection(pod, receive_buffer=32768, port=port) as slow:
            slow.send("/file", close=True)
            received = len(slow.read(1000))
            hook = pod.exec(wait_argv(daemon.socket, min_wait="0s", quiet="0.1s", timeout="8s"))
            eventually(lambda: record_of(daemon.socket, pod).get("rolls"))
            assert hook.poll() is None
            received += slow.read_all()
        assert received > 2_000_000
        status, output = finish(hook)
        assert status == 0, output
        assert 4 <= record_of(daemon.socket, pod)["seconds"] < 8
        assert get(daemon.socket, "/healthz")["source"] == "core"
