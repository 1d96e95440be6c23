"""A daemon that is killed during a drain, in every phase: the drain continues."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.rig.daemon import running_daemon
from bench.rig.pod import FakePod
from tests.e2e.api import record_of
from tests.e2e.connections import Connection
from tests.e2e.harness import DAEMON, Daemon, MakePod, finish, wait_argv
from tests.waiting import eventually

pytestmark = pytest.mark.root

MIN_WAIT, TIMEOUT = 6.5, 8.0
"""Seconds; more than a daemon's start takes on a busy machine, less than twice as much."""


class Restarted:
    """A hook whose daemon was killed in `phase`, now with the next daemon."""

    def __init__(self, hook: subprocess.Popen[bytes], before: dict[str, Any], began: float) -> None:
        self.hook = hook
        self.before = before
        """What the first daemon said last."""
        self._began = began

    def seconds(self) -> float:
        return time.monotonic() - self._began


@contextmanager
def restarted(
    daemon: Daemon, pod: FakePod, phase: str, flags: dict[str, object], after: float = 0.0
) -> Iterator[Restarted]:
    """Kill the daemon `after` seconds of its drain, in that phase; start another one."""
    with running_daemon(DAEMON, daemon.socket, daemon.log) as pid:
        began = time.monotonic()
        hook = pod.exec(wait_argv(daemon.socket, **flags))
        before: dict[str, Any] = {}

        def reached() -> bool:
            before.update(record_of(daemon.socket, pod))
            if not before.get("phases") or before["seconds"] < after:
                return False
            return bool(before["phases"][-1][0] == phase)

        eventually(reached, within=20)
        os.kill(pid, signal.SIGKILL)
    with running_daemon(DAEMON, daemon.socket, daemon.log):
        yield Restarted(hook, before, began)


def test_a_restart_while_settling_keeps_min_wait_and_timeout(
    tmp_path: Path, make_pod: MakePod
) -> None:
    """min-wait and timeout continue to run."""
    pod, daemon = make_pod(), Daemon(tmp_path)
    with Connection(pod) as idle:
        assert idle.get()
        flags: dict[str, object] = {
            "min_wait": f"{MIN_WAIT}s", "quiet": "0.1s", "timeout": f"{TIMEOUT}s", "no_roll": True,
        }  # fmt: skip
        with restarted(daemon, pod, "settling", flags, after=1.0) as drain:
            eventually(lambda: record_of(daemon.socket, pod))
            status, output = finish(drain.hook)
            assert status == 1, output
            assert "deadline, 1 in flight (ESTABLISHED 1)" in output
            assert TIMEOUT - 0.5 < drain.seconds() < TIMEOUT + 1
            eventually(lambda: record_of(daemon.socket, pod)["result"])
            after = record_of(daemon.socket, pod)
    assert abs(after["started"] - drain.before["started"]) < 0.5
    assert MIN_WAIT - 0.01 <= dict(after["phases"])["waiting"] < MIN_WAIT + 1


def test_a_restart_while_rolling_completes_the_roll(tmp_path: Path, make_pod: MakePod) -> None:
    """Some of the workers have got SIGQUIT, the last one has not."""
    pod, daemon = make_pod(), Daemon(tmp_path)
    with Connection(pod, timeout=25) as idle:
        assert idle.get()
        with restarted(daemon, pod, "rolling", {"min_wait": "0.2s", "quiet": "0.1s"}) as drain:
            assert idle.read() == b""
            idle.close()
            status, output = finish(drain.hook)
            assert status == 0, output


def test_a_restart_while_waiting_keeps_the_rolls(tmp_path: Path, make_pod: MakePod) -> None:
    pod, daemon = make_pod(), Daemon(tmp_path)
    with Connection(pod, receive_buffer=32768) as slow:
        slow.send("/file", close=True)
        received = len(slow.read(1000))
        flags: dict[str, object] = {"min_wait": "1s", "quiet": "0.1s", "timeout": "30s"}
        with restarted(daemon, pod, "waiting", flags, after=1.2) as drain:
            eventually(lambda: record_of(daemon.socket, pod).get("phases"))
            # The next daemon knows of the roll: it makes one more when due, as arrivals since then
            # are unknown.
            (known,) = drain.before["rolls"]
            eventually(lambda: len(record_of(daemon.socket, pod)["rolls"]) == 2)
            first, second = record_of(daemon.socket, pod)["rolls"]
            assert first > known - 0.1
            assert second >= first + 1.0
            assert drain.hook.poll() is None
            assert received + slow.read_all() > 2_000_000
            status, output = finish(drain.hook)
            assert status == 0, output
            after = record_of(daemon.socket, pod)
    assert after["result"] == "drained"
