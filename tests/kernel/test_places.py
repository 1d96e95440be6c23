"""The network namespace of a place, while processes come and go."""

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from drainmon.procfs import net_files
from drainmon.procfs.process import netns_inode
from drainmon.sources.procfs import ProcfsSource
from tests.kernel.eyes import NoListener, Scene, eyes_on_pair, scene_of_eyes  # noqa: F401 - fixtures
from tests.kernel.pair import Pair
from tests.kernel.sourced import open_files
from tests.waiting import eventually

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[2]


def test_a_place_has_the_inode_of_its_namespace(scene: Scene) -> None:
    assert scene.eyes.place.netns == scene.pair.server.inode
    own = scene.eyes.place.dup()
    own.close()
    assert own.netns == scene.pair.server.inode


def test_a_place_outlives_the_last_process(scene: Scene) -> None:
    _, accepted = scene.connect()
    scene.eyes.idle.close()
    scene.check(ESTABLISHED=1)
    accepted.shutdown(socket.SHUT_WR)
    scene.check(FIN_WAIT2=1)


MOVES = """
import sys
from drainmon.kernel.netns import enter
sys.stdin.readline()
enter(int(sys.argv[1]))
print(flush=True)
sys.stdin.readline()
"""
"""A process that enters a namespace on command."""


@pytest.mark.parametrize("by_diag", [True, False])
def test_a_place_does_not_follow_a_process_to_another_namespace(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, by_diag: bool
) -> None:
    source = ProcfsSource(NoListener(), by_diag=by_diag)
    with contextlib.ExitStack() as stack:
        stack.callback(source.close)
        fd = stack.enter_context(Path(f"/run/netns/{pair.client.name}").open()).fileno()
        argv = pair.server.command([sys.executable, "-c", MOVES, str(fd)])
        pipe = subprocess.PIPE
        mover = subprocess.Popen(argv, cwd=ROOT, stdin=pipe, stdout=pipe, pass_fds=[fd])
        stack.enter_context(mover)
        stack.callback(mover.kill)
        eventually(lambda: netns_inode(mover.pid) == pair.server.inode)
        files = open_files()
        source.open(mover.pid).close()
        opens = net_files.open_net

        def open_elsewhere(pid: int) -> tuple[int, ...]:
            assert mover.stdin
            assert mover.stdout
            mover.stdin.write(b"\n")
            mover.stdin.flush()
            assert mover.stdout.readline() == b"\n"
            return opens(pid)

        monkeypatch.setattr(net_files, "open_net", open_elsewhere)
        with pytest.raises(ProcessLookupError, match="cannot reach the pod"):
            source.open(mover.pid)
        eventually(lambda: open_files() <= files)


UNPRIVILEGED = """
import asyncio, os, sys
from drainmon.sources.procfs import ProcfsSource
source = ProcfsSource(None)
asyncio.run(source.start())
place = source.open(os.getpid())
print(place.diag is None, place.netns == os.stat("/proc/self/ns/net").st_ino)
try:
    source.open(int(sys.argv[1]))
except PermissionError as error:
    print(error.strerror)
"""


def test_without_capabilities_only_own_processes_places_open() -> None:
    """Neither the namespace nor the inode of a more privileged process can be read."""
    with contextlib.ExitStack() as stack:
        privileged = stack.enter_context(subprocess.Popen(["sleep", "infinity"]))
        stack.callback(privileged.kill)
        drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
        argv = [*drop, sys.executable, "-c", UNPRIVILEGED, str(privileged.pid)]
        done = subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout.splitlines() == [
        "True True",
        f"cannot open /proc/{privileged.pid}/ns/net: Permission denied",
    ]
