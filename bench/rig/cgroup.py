"""Cgroups of one run, as a kubelet and a container runtime would make them."""

import contextlib
import secrets
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from bench.rig.errors import RigError

EMPTY_SECONDS = 5.0
"""How long a cgroup's last process may take to leave after its parent has reaped it."""

MOUNTS = Path("/proc/self/mounts")


def hierarchies(*kinds: str) -> list[Path]:
    """Where cgroup file systems are mounted: kinds are "cgroup" for v1 and "cgroup2"."""
    rows = (line.split() for line in MOUNTS.read_text().splitlines())
    return [Path(row[1]) for row in rows if row[2] in kinds]


class Cgroup:
    """A cgroup by its path from the root: of v2, or of each hierarchy of v1 where v2 is not
    mounted. Missing parents are created. Raises RigError when no cgroups are mounted."""

    def __init__(self, path: str) -> None:
        mounted = hierarchies("cgroup2")[:1] or hierarchies("cgroup")
        # A new cgroup of cpuset takes no process until it has CPUs.
        self._folders = [h / path.strip("/") for h in mounted if "cpuset" not in h.name]
        if not self._folders:
            raise RigError("cannot make a cgroup: none are mounted")
        self.path = path
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)

    def command(self, argv: list[str]) -> list[str]:
        """`argv` wrapped to run in the cgroup."""
        files = " ".join(shlex.quote(str(folder / "cgroup.procs")) for folder in self._folders)
        script = f'for file in {files}; do echo 0 >"$file" || exit; done; exec "$@"'
        return ["sh", "-c", script, "sh", *argv]  # 0 is the writing process


@contextlib.contextmanager
def cgroup_root() -> Iterator[str]:
    """The path of this run's cgroup, for a kubelet's --cgroup-root or for services; its name is
    that of a slice. Removed from every hierarchy at the end, with all below; no process may be left
    in it."""
    name = f"drainmon-{secrets.token_hex(4)}.slice"
    try:
        yield f"/{name}"
    finally:
        for hierarchy in hierarchies("cgroup", "cgroup2"):
            _remove(hierarchy / name)


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + EMPTY_SECONDS
    below = [path for path in folder.rglob("*") if path.is_dir()]
    for path in sorted([*below, folder], reverse=True):
        while path.exists():
            try:
                path.rmdir()
            except OSError:  # a process is still exiting
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
