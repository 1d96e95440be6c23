"""Connections that come after a roll: one more roll per wave, never in a loop."""

import threading
from contextlib import ExitStack
from functools import partial

import pytest

from bench.rig.pod import FakePod
from tests.e2e.api import record_of
from tests.e2e.connections import Connection
from tests.e2e.harness import Daemon, MakePod, finish, wait_argv
from tests.waiting import eventually

pytestmark = pytest.mark.root


class EndlessStragglers:
    """A new client every tenth of a second, which keeps its idle connection open."""

    def __init__(self, pod: FakePod) -> None:
        self._pod = pod
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._come)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _come(self) -> None:
        with ExitStack() as stack:
            while not self._over.wait(0.1):
                stack.enter_context(Connection(self._pod)).get()


def test_stragglers_that_never_stop_cause_few_rolls(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    with EndlessStragglers(pod):
        flags = {"min_wait": "0.2s", "quiet": "0.5s", "timeout": "6s"}
        status, output = finish(pod.exec(wait_argv(daemon.socket, **flags)))
    assert status == 1, output
    rolls = record_of(daemon.socket, pod)["rolls"]
    # Quiet is required until half of the timeout; then each pause is twice as long as the previous
    # one.
    assert len(rolls) == 2
    assert rolls[0] >= 2.8
    assert rolls[1] >= rolls[0] + 1
    assert pod.log().count("gracefully shutting down") >= 2


def test_each_wave_of_stragglers_is_rolled_once(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    with Connection(pod, receive_buffer=32768) as slow:
        slow.send("/file", close=True)
        received = len(slow.read(1000))
        hook = pod.exec(wait_argv(daemon.socket, min_wait="0.1s", quiet="0.1s", timeout="40s"))
        for wave in (1, 2):
            eventually(partial(_rolled, daemon, pod, wave))
            with ExitStack() as stack:
                stragglers = [stack.enter_context(Connection(pod)) for _ in range(3)]
                for straggler in stragglers:
                    assert straggler.get()
                for straggler in stragglers:
                    assert straggler.read() == b""
        received += slow.read_all()
        assert finish(hook)[0] == 0
    assert received > 2_000_000
    assert len(record_of(daemon.socket, pod)["rolls"]) == 3


def _rolled(daemon: Daemon, pod: FakePod, times: int) -> bool:
    """Whether `times` rolls are over, and old workers accept no more."""
    record = record_of(daemon.socket, pod)
    return len(record.get("rolls", ())) == times and record["phases"][-1][0] == "waiting"
