"""Cgroups that count memory and share out the CPUs, v1 or v2, and the size of BPF maps."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.rig.cgroup import hierarchies

EMPTY_SECONDS = 5.0
BEST_EFFORT = 0.2
"""Kubernetes gives all pods without requests 2 shares of the CPUs together; the daemon, which
requests 10m, has 10."""


def map_bytes(pid: int) -> int:
    """The sum of `memlock` of a process's BPF maps, from /proc/<pid>/fdinfo; without the memory
    that a map keeps in sockets."""
    found: dict[str, int] = {}
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):  # closed since the folder was read
            fields = dict(line.split(":", 1) for line in info.read_text().splitlines())
            if "memlock" in fields and "map_id" in fields:
                found[fields["map_id"]] = int(fields["memlock"])
    return sum(found.values())


@dataclass(frozen=True)
class Group:
    """A cgroup of one controller; without a folder where this host has no such controller."""

    folder: Path | None

    def command(self, argv: list[str]) -> list[str]:
        """`argv` wrapped to run in the cgroup with the same pid."""
        if self.folder is None:
            return argv
        script = 'echo 0 >"$0" && exec "$@"'  # 0 is the writing process
        return ["sh", "-c", script, str(self.folder / "cgroup.procs"), *argv]

    def wrap(self, program: Path, script: Path) -> Path:
        """Write a `script` that runs `program` in the cgroup with the same pid."""
        if self.folder is None:
            return program
        procs = self.folder / "cgroup.procs"
        script.write_text(f'#!/bin/sh\necho 0 >"{procs}" && exec "{program}" "$@"\n')
        script.chmod(0o700)
        return script

    def kernel_bytes(self) -> int | None:
        """The kernel's memory for its processes: maps, their storage in sockets, and the processes'
        files, sockets and page tables. None without the memory controller."""
        if self.folder is None:
            return None
        with suppress(FileNotFoundError):
            return int((self.folder / "memory.kmem.usage_in_bytes").read_text())
        lines = (self.folder / "memory.stat").read_text().splitlines()
        return int(dict(line.split() for line in lines)["kernel"])


NO_GROUP = Group(None)


@contextmanager
def memory_group() -> Iterator[Group]:
    """A group whose memory is counted."""
    with _group(_parent("memory", "memory.kmem.usage_in_bytes")) as group:
        yield group


@contextmanager
def best_effort_group() -> Iterator[Group]:
    """A group with the CPU share of pods that request nothing."""
    with _group(_parent("cpu", "cpu.shares")) as group:
        for name, usual in (("cpu.shares", 1024), ("cpu.weight", 100)):
            if group.folder and (group.folder / name).exists():
                (group.folder / name).write_text(str(round(usual * BEST_EFFORT)))
        yield group


def _parent(controller: str, file_of_v1: str) -> Path | None:
    for hierarchy in hierarchies("cgroup"):
        if (hierarchy / file_of_v1).exists():
            return hierarchy
    for hierarchy in hierarchies("cgroup2"):
        control = hierarchy / "cgroup.subtree_control"
        if control.exists() and controller in control.read_text().split():
            return hierarchy
    return None


@contextmanager
def _group(parent: Path | None) -> Iterator[Group]:
    """A group below `parent`; no process may be left in it at the end of the block."""
    if parent is None:
        yield NO_GROUP
        return
    folder = parent / f"drainmon-{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        yield Group(folder)
    finally:
        deadline = time.monotonic() + EMPTY_SECONDS
        while folder.exists():
            try:
                folder.rmdir()
            except OSError:  # a process is still exiting
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
