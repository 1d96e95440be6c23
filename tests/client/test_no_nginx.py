"""Hosts and pods without nginx, and those where nginx cannot be seen."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from drainmon.procfs.process import netns_inode
from tests.client.pod import Pod
from tests.client.run import Client, Run, best_of_ten

pytestmark = pytest.mark.root

NONE = "no nginx here: nothing to drain"
NOT_SEEN = "no nginx seen here: every listening port was counted"
FIRST_PIDS = 0xEFFFFFFC
"""The inode of the first pid namespace (linux/nsfs.h)."""


@pytest.fixture
def host() -> None:
    if Path("/proc/self/ns/pid").stat().st_ino != FIRST_PIDS:
        pytest.skip("needs the host's pid namespace")
    here = psutil.process_iter(["name"])  # skips processes that end meanwhile
    if any(p.info["name"] == "nginx" and is_in_this_network(p.pid) for p in here):
        pytest.skip("needs a host without nginx")


def is_in_this_network(pid: int) -> bool:
    with suppress(OSError):  # it has ended
        return netns_inode(pid) == netns_inode(os.getpid())
    return False


@pytest.mark.usefixtures("host")
def test_on_a_host_without_nginx_there_is_nothing_to_drain(client: Path) -> None:
    ended = Client([str(client), "--no-pod-log", "--socket=/nonexistent"]).end()
    assert (ended.status, ended.last) == (0, f"drained, 0 in flight, 0.0 s: {NONE}")


@pytest.mark.usefixtures("host")
def test_a_host_with_hidden_processes_may_have_nginx(client: Path) -> None:
    """What the host's other programs do meanwhile is not the client's: a connection of theirs
    keeps it until the timeout, and processes of its user are not hidden from it."""

    def once() -> Run:
        ended = Client(["unshare", "--mount", "sh", "-c", hidden, "sh", *argv]).end()
        assert NONE not in ended.output
        return ended

    hidden = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    another = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"]
    argv = [*another, str(client), "--no-pod-log", "--socket=/nonexistent", "--timeout=0.5s"]
    best_of_ten(lambda run: NOT_SEEN in run.output, once)


@pytest.mark.parametrize(
    "apart",
    [[], ["unshare", "--pid", "--fork", "--mount-proc"]],
    ids=["no process of its network", "no process of its container"],
)
def test_nginx_may_be_in_another_container_of_the_pod(pod: Pod, apart: list[str]) -> None:
    ended = pod.start(under=apart).end()
    assert ended.status == 0
    assert ended.last.endswith(f" s: {NOT_SEEN}")
    assert ended.seconds >= 0.3  # min-wait is kept all the same


def test_a_deadline_reports_that_no_nginx_was_seen(pod: Pod) -> None:
    pod.connect()
    ended = pod.start("--timeout=0.8s", "--no-roll").end()
    assert ended.status == 1
    assert any(line.endswith(f"the timeout of 0.8 s is over; {NOT_SEEN}") for line in ended.lines)


def test_a_process_named_nginx_without_a_title_is_nginx(pod: Pod, tmp_path: Path) -> None:
    """With `master_process off;` its title is its command line."""
    shutil.copy("/bin/sleep", tmp_path / "nginx")
    nginx = Client(pod.netns.command([str(tmp_path / "nginx"), "60"]))
    ended: Run = pod.start().end()
    nginx.process.kill()
    nginx.end()
    assert (ended.status, "no nginx" in ended.last) == (0, False)
