"""What /proc tells of a process."""

import os
import socket
from pathlib import Path

import pytest

from drainmon.procfs import process

ID = "9ae383f0839c4a840a2d62f5d99613c8bddb1aa689292b1ba4c6eff211e0f216"


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        (f"0::/kubepods/besteffort/pod1b5c81bc-6dce-4cf0-aef1-f92948380bdb/{ID}\n", ID),
        (f"1:cpu:/docker/{ID}\n0::/docker/{ID}\n", ID),
        (f"0::/machine.slice/libpod-{ID}.scope/container\n", ID),
        (f"0::/system.slice/docker-{ID}.scope\n", ID),
        (f"0::/kubepods/pod{'0' * 32}/{ID}\n", ID),
        ("0::/user.slice/session-1.scope\n", None),
        (f"0::/{ID}{ID}\n", None),
        ("", None),
    ],
)
def test_container_id(cgroup: str, expected: str | None) -> None:
    assert process.parse_container_id(cgroup) == expected


def test_container_id_of_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_bytes(b"0::/\xff\xfe\n")
    assert process.container_id(7, tmp_path) is None


def test_start_time_of_a_name_with_parentheses(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    fields = " ".join(str(number) for number in range(4, 53))
    (tmp_path / "7" / "stat").write_text(f"7 (a) b) 1 (c) S {fields}\n")
    assert process.start_time(7, tmp_path) == 22


def test_socket_inodes_are_the_sockets_held() -> None:
    before = process.socket_inodes(os.getpid())
    with socket.socket() as held:
        inode = os.fstat(held.fileno()).st_ino
        assert process.socket_inodes(os.getpid()) - before == {inode}


def test_netns_of_this_process() -> None:
    fd = process.open_netns(os.getpid())
    try:
        assert os.fstat(fd).st_ino == process.netns_inode() == process.netns_inode(os.getpid())
    finally:
        os.close(fd)
