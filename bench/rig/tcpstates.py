"""bcc's tcpstates, as in Debian: `python -m bench.rig.tcpstates` runs it until it is killed.

It gets what it does not find by itself: tracefs where it is not mounted, and headers of another
kernel's version, which suffice because its program reads the tracepoint's own fields.
"""

import os
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.rig.errors import RigError
from drainmon.kernel import bcc_headers, bcc_library, tracefs

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path("/usr/sbin/tcpstates-bpfcc")
START_SECONDS = 30.0


@contextmanager
def tcpstates() -> Iterator[int]:
    """Run tcpstates as a process that discards every event. Yields its pid.

    Raises RigError when it is not installed or does not start.
    """
    if not PROGRAM.exists():
        raise RigError("cannot compare with tcpstates: not installed (Debian: bpfcc-tools)")
    with subprocess.Popen(
        [sys.executable, "-m", "bench.rig.tcpstates"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not has_programs(process.pid):
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    said = process.communicate()[1].strip().splitlines() or ["it says nothing"]
                    raise RigError(f"cannot compare with tcpstates: {said[-1]}")
                time.sleep(0.05)
            yield process.pid
        finally:
            process.kill()


def has_programs(pid: int) -> bool:
    """Whether a process has BPF programs and the perf buffers to read their output."""
    try:
        files = [str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:  # the process is ending, or has closed a listed descriptor
        return False
    # One perf event per CPU for each of its two tables, besides the tracepoint's own.
    events = files.count("anon_inode:[perf_event]")
    return "anon_inode:bpf-prog" in files and events > 2 * (os.cpu_count() or 1)


def _run() -> None:
    headers = bcc_headers.find()
    os.environ[bcc_headers.VARIABLE] = str(headers.source)
    bcc = bcc_library.load()
    plain: Any = bcc.BPF

    class WithHeaders(plain):  # type: ignore[misc]
        def __init__(self, text: str) -> None:
            super().__init__(text=text, cflags=headers.flags())

    bcc.BPF = WithHeaders
    sys.argv = [str(PROGRAM)]
    runpy.run_path(str(PROGRAM), run_name="__main__")


if __name__ == "__main__":
    tracefs.call_with(_run)
