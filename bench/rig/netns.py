"""Network namespaces of one run, links between them, and sockets inside them."""

import os
import secrets
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from bench.rig.interrupts import held_back
from drainmon.kernel import netns

T = TypeVar("T")

NAMES = Path("/run/netns")


def ip(*arguments: str) -> None:
    """Run ip(8); CalledProcessError carries its message."""
    # A session of its own: Ctrl-C must not kill the cleanup's own commands. Nor may an interrupt
    # leave a process that makes a namespace after its deletion.
    with held_back():
        subprocess.run(
            ["ip", *arguments], check=True, capture_output=True, text=True, start_new_session=True
        )


class Netns:
    """A named network namespace with its loopback up."""

    def __init__(self, name: str, of: int | None = None) -> None:
        """A new namespace, or that of the process with pid `of`: a container's, made by its
        runtime."""
        self.name = name
        self.path = NAMES / name
        self.began = time.time()
        """Wall-clock time: the inode alone may have been an earlier namespace's."""
        ip("netns", "add", name) if of is None else ip("netns", "attach", name, str(of))
        self.inode = self.path.stat().st_ino
        ip("-n", name, "link", "set", "lo", "up")

    def call(self, function: Callable[[], T]) -> T:
        """The result of `function`, run by a thread inside the namespace."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return netns.call_in(fd, function)
        finally:
            os.close(fd)

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket that belongs to the namespace, whichever thread uses it later."""
        return self.call(lambda: socket.socket(family, kind))

    def command(self, argv: list[str]) -> list[str]:
        """`argv` wrapped to run inside the namespace, mounts untouched."""
        return ["nsenter", f"--net={self.path}", "--", *argv]

    def wrap(self, program: Path, path: Path) -> Path:
        """Make an executable at `path` that becomes `program` inside the namespace."""
        path.write_text(f'#!/bin/sh\nexec {shlex.join(self.command([str(program)]))} "$@"\n')
        path.chmod(0o755)
        return path

    def delete(self) -> None:
        delete_netns(self.name)


def delete_netns(name: str) -> None:
    """Remove the namespace of this name, if it exists; its links go with it."""
    if (NAMES / name).exists():
        ip("netns", "del", name)


@contextmanager
def fresh_netns(prefix: str = "drainmon-test") -> Iterator[Netns]:
    """A namespace with a unique name, deleted at the end."""
    name = f"{prefix}-{secrets.token_hex(3)}"
    try:
        yield Netns(name)
    finally:
        delete_netns(name)  # by name: Ctrl-C may have cut its creation short


def link(
    left: Netns, left_address: str, right: Netns, right_address: str, name: str | None = None
) -> tuple[str, str]:
    """Join two namespaces by a veth pair; addresses with prefix, e.g. 10.77.0.1/24, fd77::1/64.

    Returns the names of both devices: `name` (at most 14 characters) and l, r.
    """
    name = name or f"dm{secrets.token_hex(4)}"
    devices = (f"{name}l", f"{name}r")
    ip("link", "add", devices[0], "netns", left.name, "type", "veth",
       "peer", "name", devices[1], "netns", right.name)  # fmt: skip
    for namespace, device, address in zip(
        (left, right), devices, (left_address, right_address), strict=True
    ):
        ip("-n", namespace.name, "link", "set", device, "up")
        add_address(namespace, device, address)
    return devices


def add_address(namespace: Netns, device: str, address: str) -> None:
    """Add an address with its prefix to a device; IPv6 without duplicate detection."""
    family = ["nodad"] if ":" in address else []
    ip("-n", namespace.name, "address", "add", address, "dev", device, *family)
