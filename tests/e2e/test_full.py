"""When the kernel's memory for the daemon is full: it says so, and its counts are right."""

import signal
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from bench.rig.netns import Netns
from bench.rig.pod import FakePod
from drainmon.cli.client import get
from tests.e2e.api import pod_in
from tests.e2e.connections import Connection
from tests.e2e.harness import Daemon, MakePod, daemon_in, listed
from tests.listening import PORTS_KEPT, RING_RECORDS, listen_on_many
from tests.waiting import eventually

pytestmark = pytest.mark.root


def agrees(daemon: Daemon, pod: FakePod, connections: int) -> bool:
    shown = pod_in(daemon.socket, pod.netns.inode).get("by_state")
    return shown == {"ESTABLISHED": connections} and listed(pod.netns, pod.port) == connections


def open_connections(stack: ExitStack, pod: FakePod, number: int) -> None:
    for _ in range(number):
        assert stack.enter_context(Connection(pod)).get()


@pytest.mark.parametrize(("place", "ports"), [("event", RING_RECORDS), ("port", PORTS_KEPT)])
def test_what_is_swallowed_is_told_and_hides_nothing(
    place: str, ports: int, tmp_path: Path, netns: Netns, make_pod: MakePod
) -> None:
    known = make_pod()
    with daemon_in(tmp_path) as daemon, ExitStack() as stack:
        open_connections(stack, known, 2)
        eventually(lambda: agrees(daemon, known, 2))
        assert get(daemon.socket, "/healthz")["missed"][place] == 0
        process = psutil.Process(daemon.pid)
        process.send_signal(signal.SIGSTOP)
        try:
            listen_on_many(netns, range(20000, 20000 + ports + 100))
            new = make_pod()  # nobody is told
            open_connections(stack, known, 1)
            open_connections(stack, new, 4)
        finally:
            process.send_signal(signal.SIGCONT)
        eventually(lambda: '"event": "events missed"' in daemon.log.read_text())
        assert get(daemon.socket, "/healthz")["missed"][place] > 0
        eventually(lambda: agrees(daemon, known, 3))
        eventually(lambda: agrees(daemon, new, 4))
        # Without counters nobody would know what arrives on the new one's port: not by this source.
        uncounted = f"cannot count port {new.port}: the map of ports is full"
        eventually(lambda: (uncounted in daemon.log.read_text()) == (place == "port"))
