"""A grace period that is shorter than the drain: the record reports this exactly when bytes are
lost."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.rig.netns import Netns, fresh_netns
from tests import core
from tests.e2e.api import record_in
from tests.e2e.harness import Daemon, daemon_in, wait_argv
from tests.e2e.plain_nginx import PlainNginx
from tests.waiting import eventually

pytestmark = pytest.mark.root

GRACES = {"core": range(1, 13), "procfs": range(2, 13, 5)}
"""Seconds. Source procfs looks less often at many pods at once and misses changes between two
looks: it gets few, and none that ends with the download."""

RATE = 20_000
DOWNLOAD = 10 * RATE
"""Bytes a second, and bytes."""

BETWEEN = 0.5
"""Seconds from the beginning of the download to the hook's: nginx sends once a second, and no grace
period should end at the same time."""

KILLED_AFTER = 2.0  # seconds from the stop signal at the grace period's end to SIGKILL

TERM, QUIT = signal.SIGTERM, signal.SIGQUIT


@dataclass
class Ending:
    """One pod: its grace period, its stop signal, and the result."""

    source: str
    grace: float
    stop: signal.Signals
    whole: bool = False
    result: str | None = None
    reason: str = ""
    cut: int = 0


def download(namespace: Netns, ending: Ending, began: threading.Event) -> None:
    with namespace.socket() as reader:
        reader.settimeout(30)
        reader.connect(("127.0.0.1", 8080))
        reader.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        received = len(reader.recv(1000))
        began.set()
        try:
            while data := reader.recv(1 << 16):
                received += len(data)
        except ConnectionResetError:
            pass
        ending.whole = received > DOWNLOAD


def end_pod(daemon: Daemon, folder: Path, ending: Ending) -> None:
    """The pod's termination as by a kubelet: the hook; at the grace period's end the stop signal,
    two seconds later SIGKILL; the hook ends with its container."""
    name = f"{ending.source}-{ending.grace}-{ending.stop.name}"
    place = folder / name
    place.mkdir()
    (place / "slow").write_bytes(b"x" * DOWNLOAD)
    listen = f"listen 8080; location = /slow {{ limit_rate {RATE}; root {place}; }}"
    with fresh_netns("drainmon-cut") as namespace, ExitStack() as stack:
        nginx = PlainNginx(namespace, place, listen=listen)
        stack.callback(nginx.close)
        began = threading.Event()
        client = threading.Thread(target=download, args=(namespace, ending, began))
        client.start()
        assert began.wait(30)
        time.sleep(BETWEEN)
        argv = wait_argv(daemon.socket, min_wait="0.5s", quiet="0.2s", timeout="30s")
        with subprocess.Popen(namespace.command(argv), stdout=subprocess.DEVNULL) as hook:
            stop_at = time.monotonic() + ending.grace
            with_grace(hook, stop_at)
            nginx.signal(ending.stop)
            kill_at = time.monotonic() + KILLED_AFTER
            while nginx.running() and time.monotonic() < kill_at:
                time.sleep(0.01)
            nginx.kill()
            hook.kill()
        client.join()
        eventually(lambda: record_in(daemon.socket, namespace).get("result"))
        record = record_in(daemon.socket, namespace)
        ending.result, ending.reason, ending.cut = (
            record["result"], record["reason"], record["cut"],
        )  # fmt: skip


def with_grace(hook: subprocess.Popen[bytes], stop_at: float) -> None:
    """Wait for the hook until the grace period is over."""
    while hook.poll() is None and time.monotonic() < stop_at:
        time.sleep(0.01)


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Ending]]:
    """Every pod at once, with two daemons."""
    with ExitStack() as stack:
        daemons = {
            source: stack.enter_context(
                daemon_in(tmp_path_factory.mktemp(source), "--source", source)
            )
            for source in core.able(GRACES)
        }
        folder = tmp_path_factory.mktemp("pods")
        folder.chmod(0o755)
        made = [
            Ending(source, grace, stop)
            for source in daemons
            for grace in GRACES[source]
            for stop in (TERM, QUIT)
        ]
        threads = [
            threading.Thread(target=end_pod, args=(daemons[one.source], folder, one))
            for one in made
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        yield made


@pytest.mark.parametrize("source", GRACES)
def test_no_record_says_drained_if_bytes_were_lost(endings: list[Ending], source: str) -> None:
    seen = [one for one in endings if one.source == source]
    assert {one.whole for one in seen} == {True, False}
    assert [one for one in seen if one.result is None] == []
    assert [one for one in seen if one.result == "drained" and not one.whole] == []
    assert [one for one in seen if one.result not in {"drained", "gone"} and one.whole] == []


def test_a_record_says_cut_if_bytes_were_lost(endings: list[Ending]) -> None:
    lost = [one for one in endings if not one.whole]
    # Without events, the end of a quitting nginx's connection is not seen.
    known = [one for one in lost if one.source == "core" or one.stop is TERM]
    assert [one for one in known if one.result != "cut" or one.cut != 1] == []
    assert {one.reason for one in known} == {"nginx was stopped while connections were in flight"}
