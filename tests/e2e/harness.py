"""The built programs, and how the tests run them."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.rig.daemon import BESIDE_OTHERS, running_daemon
from bench.rig.netns import Netns
from bench.rig.pod import FakePod

ROOT = Path(__file__).parents[2]
DAEMON = Path(sys.executable).with_name("drainmon")
SERVE = [str(DAEMON), "daemon", *BESIDE_OTHERS]
"""A daemon that runs beside others."""

CLIENT = ROOT / "build" / "drainmon-wait"

MakePod = Callable[..., FakePod]


class Daemon:
    """A running daemon: its socket, log and pid."""

    pid: int

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "drainmon.sock"
        self.log = folder / "daemon.log"


@contextmanager
def daemon_in(folder: Path, *flags: str, program: Path = DAEMON) -> Iterator[Daemon]:
    """Run a daemon whose socket and log are in the folder, until the block ends."""
    daemon = Daemon(folder)
    with running_daemon(program, daemon.socket, daemon.log, flags) as daemon.pid:
        yield daemon


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that every user may open; pytest's own is root's alone."""
    with tempfile.TemporaryDirectory(prefix="drainmon-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def wait_argv(socket: Path, **flags: object) -> list[str]:
    """drainmon-wait's command line; min_wait=1 is --min-wait 1."""
    argv = [str(CLIENT), "--socket", str(socket)]
    for name, value in flags.items():
        flag = f"--{name.replace('_', '-')}"
        argv += [flag] if value is True else [flag, str(value)]
    return argv


def finish(process: subprocess.Popen[bytes], within: float = 40.0) -> tuple[int, str]:
    """A hook's exit status and output."""
    output, _ = process.communicate(timeout=within)
    return process.returncode, output.decode()


def listed(namespace: Netns, port: int) -> int:
    """Established connections on a port, by ss."""
    argv = ["ss", "-Htn", "state", "established", f"sport = :{port}"]
    done = subprocess.run(namespace.command(argv), check=True, capture_output=True)
    return len(done.stdout.splitlines())
