"""A container in a user namespace, as in a pod with hostUsers: false."""

import fcntl
import os
import secrets
import shutil
from pathlib import Path

import pytest

from bench.rig.cgroup import cgroup_root
from bench.rig.container import IDS, Container
from tests.e2e.harness import finish

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not shutil.which("runc"), reason="needs runc"),
]

FIRST_ID = 1_000_000
NS_GET_USERNS = 0xB701
"""An ioctl(2) of a namespace: a descriptor of the user namespace that owns it."""


def owner(namespace: Path) -> int:
    """The inode of the user namespace that owns a namespace."""
    fd = os.open(namespace, os.O_RDONLY)
    owning = fcntl.ioctl(fd, NS_GET_USERNS)
    try:
        return os.fstat(owning).st_ino
    finally:
        os.close(owning)
        os.close(fd)


def test_users_of_a_user_namespace_are_mapped_on_the_host() -> None:
    sleep, name = ["/bin/sleep", "600"], secrets.token_hex(32)
    with (
        cgroup_root() as root,
        Container(name, sleep, cgroup=f"{root}/{name}", user=101, first_id=FIRST_ID) as container,
    ):
        proc = Path(f"/proc/{container.pid}")
        assert proc.joinpath("uid_map").read_text().split() == ["0", str(FIRST_ID), str(IDS)]
        assert proc.stat().st_uid == FIRST_ID + 101
        assert owner(proc / "ns/net") == (proc / "ns/user").stat().st_ino
        status, output = finish(container.exec(["/usr/bin/id", "--user"]))
        assert (status, output) == (0, "101\n")
