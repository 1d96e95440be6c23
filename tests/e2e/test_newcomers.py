"""The daemon's reports of clients that use the pod's own address, as load generators do, and of a
pod without nginx."""

import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bench.rig.netns import fresh_netns
from bench.rig.pod import FakePod
from tests.e2e.api import record_of
from tests.e2e.connections import Connection
from tests.e2e.harness import Daemon, MakePod, daemon_in, finish, wait_argv
from tests.sent_clients import clients_sent

pytestmark = pytest.mark.root

SENT = "clients are still being sent here"


def load(pod: FakePod, clients: int = 6) -> AbstractContextManager[None]:
    """`clients` connections with requests at any time, each open for a third of a second."""

    def connect() -> Connection:
        made = Connection(pod)
        made.send("/")
        return made

    return clients_sent(connect, Connection.close, clients, 0.3)


@pytest.mark.parametrize("source", ["core", "procfs"])
def test_a_deadline_reports_clients_that_are_still_sent(
    tmp_path: Path, make_pod: MakePod, source: str
) -> None:
    pod = make_pod()
    with daemon_in(tmp_path, "--source", source) as daemon, load(pod):
        hook = pod.exec(wait_argv(daemon.socket, min_wait="1s", quiet="0.5s", timeout="4s"))
        status, output = finish(hook)
        record = record_of(daemon.socket, pod)
    assert status == 1, output
    assert record["timeout"] == 4
    assert record["reason"].startswith("the timeout of 4 s is over; the connections left are at ")
    assert f" s old: {SENT} (they use the pod's IP directly, or " in record["reason"]
    assert len(record["remaining"]) == 3
    assert f"4.0 s: {record['reason']}" in output
    assert output.count("left: ") == 3 + 1


def test_a_pod_without_a_visible_nginx_is_reported(daemon: Daemon) -> None:
    with fresh_netns("without") as pod, pod.socket() as listener:
        listener.bind(("127.0.0.1", 8080))
        listener.listen()
        argv = wait_argv(daemon.socket, min_wait="0.2s", quiet="0.1s", no_pod_log=True)
        hook = subprocess.run(pod.command(argv), capture_output=True, text=True, check=True)
    said = "nothing in flight; no nginx seen here: every listening port was counted"
    assert hook.stdout.endswith(f" s: {said}\n")
