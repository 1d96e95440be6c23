"""Replacing nginx's workers loses nothing and delays no client: by a daemon, and without one."""

import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig.netns import Netns
from drainmon.cli.client import get
from tests.e2e.api import records_among
from tests.e2e.harness import Daemon, daemon_in, finish, wait_argv
from tests.e2e.roll_situations import LISTEN, SITUATIONS
from tests.e2e.scenes import ALONE, Scene, Situation, Staged
from tests.e2e.visits import Held

pytestmark = pytest.mark.root

DAEMON = "daemon"


class Rolled:
    """The ended scenes, and the daemon's records and metrics of them."""

    def __init__(self, staged: Staged, daemon: Daemon) -> None:
        self.staged = staged
        self.rolls = [drain.get("roll") for drain in get(daemon.socket, "/v1/drains")["drains"]]
        argv = ["curl", "-sS", "--unix-socket", str(daemon.socket), "http://d/metrics"]
        self.metrics = subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def rolled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rolled]:
    folder = tmp_path_factory.mktemp("rolls")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)  # nginx's workers read below it
    staged = Staged(SITUATIONS, [DAEMON, ALONE], folder)
    try:
        with daemon_in(tmp_path_factory.mktemp(DAEMON)) as daemon:
            staged.drain({DAEMON: daemon, ALONE: Daemon(folder)})
            ended = Rolled(staged, daemon)
        yield ended
    finally:
        staged.close()


@pytest.mark.parametrize("source", [DAEMON, ALONE])
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.__name__)
def test_a_roll_does_no_harm(rolled: Rolled, situation: Situation, source: str) -> None:
    rolled.staged.check(situation, source)


def test_rolls_are_counted_by_their_outcome(rolled: Rolled) -> None:
    said = Counter(roll.split(" ")[0] for roll in rolled.rolls if roll)
    pattern = r'^drainmon_rolls_total{outcome="(\w+)"} ([0-9.]+)$'
    counted = {
        outcome: float(number)
        for outcome, number in re.findall(pattern, rolled.metrics, re.MULTILINE)
    }
    assert set(said) == set(counted) == {"quit", "reload", "skipped", "failed"}
    for outcome in ("skipped", "failed"):  # not repeated within a drain
        assert counted[outcome] == said[outcome]
    for outcome in ("quit", "reload"):
        assert counted[outcome] >= said[outcome]


def test_drains_in_a_loop_do_not_roll_in_a_loop(
    daemon: Daemon, netns: Netns, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    with ExitStack() as stack:
        scene = Scene(DAEMON, netns, tmp_path, stack)
        nginx = scene.nginx(LISTEN)
        held = Held(scene)
        held.begin()
        flags = {"min_wait": "0", "quiet": "0", "timeout": "0.3s"}
        end = time.monotonic() + 5
        while time.monotonic() < end:
            argv = netns.command(wait_argv(daemon.socket, **flags))
            with subprocess.Popen(argv, stdout=subprocess.PIPE) as hook:
                finish(hook)
        drains = records_among(get(daemon.socket, "/v1/drains")["drains"], netns)
        log = nginx.log()
        held.let_go()
        ended = scene.drain(daemon)
    assert len(drains) > 5
    # As within one drain: the first at once, the next ones after 1, 2 and 4 s.
    assert 1 <= sum(len(drain["rolls"]) for drain in drains) <= 3
    # A hook without an answer within its 0.3 s may signal as well.
    assert log.count(f"(SIGHUP) received from {daemon.pid}") <= 3
    assert log.count(f"(SIGQUIT) received from {daemon.pid}") <= 3 * 2
    assert held.are_whole(ended)
