"""Nothing is left behind after any ending: no netns, process, mount, link or file."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from bench.rig.clients import LoadSpec
from bench.rig.netns import NAMES, Netns, fresh_netns
from bench.rig.pod import FakePod
from bench.rig.traffic import ROOT, Traffic
from tests.rig.left import processes

pytestmark = pytest.mark.root


class OutOfNowhere(Exception):
    """Raised by a test inside a block that must clean up."""


def children(pid: int) -> list[psutil.Process]:
    return list(psutil.Process(pid).children(recursive=True))


def hold_namespaces(processes: list[psutil.Process], held: set[int], stack: ExitStack) -> None:
    """Add the processes' netns inodes; no later namespace gets these while `stack` is open."""
    for process in processes:
        path = Path(f"/proc/{process.pid}/ns/net")
        with suppress(FileNotFoundError):
            if path.stat().st_ino not in held:
                file = stack.enter_context(path.open("rb"))
                held.add(os.fstat(file.fileno()).st_ino)


def assert_gone(pod: FakePod) -> None:
    assert not pod.netns.path.exists()
    assert not pod.directory.exists()
    assert processes(str(pod.directory)) == []
    assert pod.netns.name not in Path("/proc/self/mountinfo").read_text()
    links = subprocess.run(
        ["ip", "-n", pod.client.name, "-o", "link"], check=True, capture_output=True, text=True
    )
    assert "veth" not in links.stdout
    assert "dm" not in links.stdout


def test_nothing_is_left_after_a_block(client: Netns, nginx: Path) -> None:
    with FakePod(client, nginx=nginx) as pod:
        pod.exec(["/bin/sleep", "60"])
        assert len(processes(str(pod.directory))) >= 2
    assert_gone(pod)
    pod.close()


def test_nothing_is_left_after_a_termination(client: Netns, newest_nginx: Path) -> None:
    with FakePod(client, nginx=newest_nginx) as pod:
        pod.terminate()
        pod.terminate()
    assert_gone(pod)


@pytest.mark.parametrize("error", [OutOfNowhere, KeyboardInterrupt])
def test_nothing_is_left_after_an_exception(
    client: Netns, newest_nginx: Path, error: type[BaseException]
) -> None:
    with (
        pytest.raises(error),
        FakePod(client, nginx=newest_nginx) as pod,
        Traffic(client, LoadSpec(pod.address)) as traffic,
    ):
        raise error
    assert_gone(pod)
    assert not psutil.pid_exists(traffic.pid)
    with pytest.raises(OutOfNowhere), fresh_netns() as namespace:
        raise OutOfNowhere
    assert not namespace.path.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", [["bench.demo"], ["bench.hooks", "--mix", "quick"]])
def test_nothing_is_left_after_an_interrupted_bench(
    tmp_path_factory: pytest.TempPathFactory,
    newest_nginx: Path,
    command: list[str],
    number: signal.Signals,
) -> None:
    tmp_path, out = tmp_path_factory.mktemp("tmp"), tmp_path_factory.mktemp("out")
    more = ["--out", str(out)] if "bench.hooks" in command else []
    argv = [sys.executable, "-m", *command, "--hook", "quit-wait", "--nginx", str(newest_nginx)]
    bench = subprocess.Popen(
        # A shell's background jobs ignore SIGINT, and their children would as well.
        ["env", "--default-signal=INT", *argv, *more],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    own = {Path("/proc/self/ns/net").stat().st_ino}
    held = set(own)
    with ExitStack() as stack:
        try:
            deadline = time.monotonic() + 10
            while len(held - own) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.02)
                mine = children(bench.pid)
                hold_namespaces(mine, held, stack)
        finally:
            bench.send_signal(number)
            assert bench.wait(15) in (130, 128 + number)
        assert list(tmp_path.iterdir()) == []
        assert processes(str(tmp_path)) == []
        assert psutil.wait_procs(mine, timeout=5)[1] == []
        assert not any(path.stat().st_ino in held for path in NAMES.iterdir())
