"""Processes that call the daemon: of another user, in a user namespace, in a pod's cgroup, or
changed since they called."""

import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.waiting import eventually

USER_101 = ["setpriv", "--reuid=101", "--regid=101", "--clear-groups", "--"]
"""nginx's user in its unprivileged images."""

CGROUPS = next((p for p in map(Path, ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"))
                if (p / "cgroup.procs").exists()), Path("/nowhere"))  # fmt: skip
"""The mount point of cgroup v2."""

_POST = 'b"POST /v1/self/drain HTTP/1.0\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body)'


def curl(socket: Path, path: str, *flags: str) -> list[str]:
    """A command that prints the response's body and, in a separate line, its status."""
    return ["curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}\n", *flags,
            "--unix-socket", str(socket), f"http://d{path}"]  # fmt: skip


def run(argv: Sequence[str]) -> tuple[int, str]:
    """The status and the body that a command of `curl` printed."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=40, check=True)
    *body, status = done.stdout.splitlines()
    return int(status), "\n".join(body)


def drain_and(socket: Path, what: str, options: str = '{"min_wait": 30}') -> list[str]:
    """A process that requests a drain on `s`, prints the first line, and continues with `what`."""
    code = (
        "import ctypes, os, socket, sys\n"
        f"body = {options.encode()!r}\n"
        f"s = socket.socket(1); s.connect({str(socket)!r})\n"
        f"s.sendall({_POST})\n"
        "f = s.makefile('rb')\n"
        "while not (line := f.readline()).startswith(b'{'): assert line\n"
        "print(line.decode(), end='', flush=True)\n"
    )
    return [sys.executable, "-c", code + what]


@contextmanager
def pod_cgroup() -> Iterator[list[str]]:
    """The cgroup of a pod's container, as made by a kubelet: the beginning of a command that runs
    there."""
    uid = f"{secrets.token_hex(4)}-0000-4000-8000-{secrets.token_hex(6)}"
    pod = CGROUPS / "kubepods" / "burstable" / f"pod{uid}"
    container = pod / secrets.token_hex(32)
    made = [folder for folder in (*reversed(container.parents), container) if not folder.exists()]
    container.mkdir(parents=True)
    try:
        yield ["sh", "-c", f'echo $$ >{container}/cgroup.procs && exec "$@"', "sh"]
    finally:
        for folder in reversed(made):
            eventually(partial(_gone, folder))


def _gone(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # its processes have not ended yet, or another test shares it
        return any(entry.is_dir() for entry in folder.iterdir())
    return True


def process_with_pid(pid: int, argv: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process that gets the pid of a process that has ended."""
    for _ in range(1000):
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        process = subprocess.Popen(argv)
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    raise AssertionError(f"pid {pid} is always another's")
