"""The simplest drain with a roll: one idle connection, which nginx closes on the roll."""

from collections.abc import Sequence

from bench.rig.pod import FakePod
from tests.e2e.api import Answer, record_of
from tests.e2e.connections import Connection
from tests.e2e.harness import Daemon, finish


def drain_with_one_idle(daemon: Daemon, pod: FakePod, hook: Sequence[str]) -> Answer:
    """The record of the drain, once it is drained."""
    with Connection(pod) as idle:
        assert idle.get()
        waiting = pod.exec(hook)
        assert idle.read() == b""
        idle.close()
        status, output = finish(waiting)
    assert status == 0, output
    record = record_of(daemon.socket, pod)
    assert record["result"] == "drained"
    return record
