"""A drainmon daemon on this host for the length of a block."""

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.rig.errors import RigError
from bench.rig.interrupts import held_back

START_SECONDS = 60.0
STOP_SECONDS = 20.0
SHOWN_LINES = 8
BESIDE_OTHERS = ("--listen", "off", "--in-pod-socket", "off")
"""Flags of a daemon that leaves other daemons' ports and pods alone."""


@contextmanager
def running_daemon(
    program: Path, socket_path: Path, log: Path, flags: Sequence[str] = ()
) -> Iterator[int]:
    """Run the daemon of `program` at `socket_path` until the block ends, with output to `log`.

    It has no web page and no sockets in pods unless `flags` include --listen and --in-pod-socket:
    several may run at once. Yields its pid.

    Raises RigError, with its last lines, when it does not become healthy.
    """
    with ExitStack() as stack:
        with log.open("ab") as output, held_back():
            try:
                process = subprocess.Popen(
                    [program, "daemon", "--socket", socket_path, *BESIDE_OTHERS, *flags],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise RigError(f"cannot start the daemon: {error}") from error
            stack.callback(_stop, process)
        _wait_healthy(process, socket_path, log)
        yield process.pid


def healthy(socket_path: Path) -> bool:
    """Whether GET /healthz over the unix socket answers 200."""
    connection = http.client.HTTPConnection("drainmon", timeout=2)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.sock.settimeout(2)
        connection.sock.connect(str(socket_path))
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except BaseException:
        process.kill()
        process.wait()
        raise


def _wait_healthy(process: subprocess.Popen[bytes], socket_path: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not healthy(socket_path):
        status = process.poll()
        if status is None and time.monotonic() < deadline:
            time.sleep(0.05)
            continue
        why = f"it ended with status {status}" if status is not None else "it is not healthy"
        lines = log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
        raise RigError("\n  ".join([f"cannot start the daemon: {why}", *lines]))
