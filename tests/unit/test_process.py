"""The facts that /proc has about a process."""

import mmap
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from drainmon.pods.discovery import find_processes
from drainmon.procfs import process
from tests.waiting import eventually


def test_a_cgroup_file_that_is_not_text_is_read(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_bytes(b"0::/\xff\xfe\n")
    assert process.cgroup(7, tmp_path) == "0::/\\xff\\xfe\n"


def test_a_kernel_without_cgroups_gives_an_empty_cgroup(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    with pytest.raises(FileNotFoundError):
        process.cgroup(7, tmp_path)
    (tmp_path / "7" / "stat").touch()
    assert process.cgroup(7, tmp_path) == ""


def test_start_time_is_found_after_a_name_with_parentheses(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    fields = " ".join(str(number) for number in range(4, 53))
    (tmp_path / "7" / "stat").write_text(f"7 (a) b) 1 (c) S {fields}\n")
    assert process.start_time(7, tmp_path) == 22


def test_cpu_time_and_memory_of_a_process_are_read() -> None:
    pid = os.getpid()
    before = process.cpu_time(pid)
    assert 0 <= before <= sum(os.times()[:2]) * os.sysconf("SC_CLK_TCK") + 1
    while process.cpu_time(pid) == before:
        pass
    used = process.own_memory(pid)
    assert used > 1_000_000
    with mmap.mmap(-1, 64 << 20, mmap.MAP_PRIVATE) as more:
        more.write(b"x" * len(more))
        assert process.own_memory(pid) > used + len(more) // 2


def test_udp_statistics_are_read_without_ipv6(tmp_path: Path) -> None:
    assert b"Udp: " in process.udp_statistics(os.getpid())[0]
    (tmp_path / "7" / "net").mkdir(parents=True)
    (tmp_path / "7" / "net" / "snmp").write_bytes(b"Udp:\n")
    assert process.udp_statistics(7, tmp_path) == (b"Udp:\n", b"")


def test_socket_inodes_are_the_sockets_held() -> None:
    before = process.socket_inodes(os.getpid())
    with socket.socket() as held:
        inode = os.fstat(held.fileno()).st_ino
        assert process.socket_inodes(os.getpid()) - before == {inode}


def test_a_link_that_leads_to_its_folder_is_no_namespace(tmp_path: Path) -> None:
    """As in stable releases of 5.10, for a process that may not be inspected."""
    folder = tmp_path / "7" / "ns"
    folder.mkdir(parents=True)
    (folder / "net").symlink_to(".")
    for read in (process.netns_inode, process.open_netns):
        with pytest.raises(PermissionError, match="Permission denied"):
            read(7, tmp_path)


def test_the_netns_of_this_process_is_opened() -> None:
    fd = process.open_netns(os.getpid())
    try:
        assert os.fstat(fd).st_ino == process.netns_inode() == process.netns_inode(os.getpid())
    finally:
        os.close(fd)


def found(name: str) -> dict[int, int]:
    """The parents of the found processes, by pid."""
    own = find_processes(frozenset({name})).values()
    return {nginx.pid: nginx.parent for processes in own for nginx in processes}


def test_a_long_name_is_found_in_its_truncated_form(tmp_path: Path) -> None:
    program = tmp_path / "openresty-of-a-long-name"
    shutil.copy("/bin/cat", program)
    with subprocess.Popen([program], stdin=subprocess.PIPE) as child:
        eventually(lambda: found(program.name) == {child.pid: os.getpid()})
        child.communicate()
