"""How much memory a container may still use, by the files of either version of cgroups."""

import os
import subprocess
from pathlib import Path

import pytest

from drainmon.pods.memory import room, used_by
from drainmon.pods.pod import NginxProcess
from tests.waiting import eventually

V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def group(
    folder: Path, files: tuple[str, str, str], limit: int | str, usage: int, inactive: int
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / files[0]).write_text(f"{limit}\n")
    (folder / files[1]).write_text(f"{usage}\n")
    (folder / "memory.stat").write_text(f"anon 7\n{files[2]} {inactive}\nfile 9\n")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    path = tmp_path / "7/root/sys/fs/cgroup"
    path.mkdir(parents=True)
    return path


def seen(proc: Path) -> int | None:
    return room(7, proc, is_cgroup=lambda fd: True)


def says(proc: Path, text: str) -> None:
    (proc / "7/cgroup").write_text(text)


def test_a_container_that_sees_only_its_own_group(tmp_path: Path, top: Path) -> None:
    group(top, V2, 1000, 700, 200)
    says(tmp_path, "0::/kubepods/pod1/id2\n")
    assert seen(tmp_path) == 500
    says(tmp_path, "0::/../../kubepods/pod1/id2\n")
    assert seen(tmp_path) == 500


def test_the_lowest_limit_of_all_parent_groups_counts(tmp_path: Path, top: Path) -> None:
    group(top / "a", V2, 1000, 900, 50)
    group(top / "a/b", V2, "max", 800, 0)
    group(top / "a/b/c", V2, 2000, 700, 0)
    says(tmp_path, "0::/a/b/c\n")
    assert seen(tmp_path) == 150


def test_the_v1_limit_counts_beside_a_v2_without_memory(tmp_path: Path, top: Path) -> None:
    group(top / "memory/a", V1, 1000, 1100, 0)
    (top / "unified/a").mkdir(parents=True)
    says(tmp_path, "4:hugetlb,memory:/a\n3:cpu:/\n0::/a\n")
    assert seen(tmp_path) == -100


@pytest.mark.parametrize("text", ["", "0::/\n", "nonsense\n", "4:memory:/gone\n"])
def test_an_unreadable_cgroup_gives_no_limit(tmp_path: Path, top: Path, text: str) -> None:
    says(tmp_path, text)
    assert seen(tmp_path) is None


def test_a_truncated_file_gives_no_limit(tmp_path: Path, top: Path) -> None:
    group(top, V2, "", 1, 1)
    says(tmp_path, "0::/\n")
    assert seen(tmp_path) is None


def test_a_pods_own_mount_of_cgroups_is_not_read(tmp_path: Path, top: Path) -> None:
    group(top, V2, 1000, 700, 0)
    says(tmp_path, "0::/\n")
    assert seen(tmp_path) == 300
    assert room(7, tmp_path) is None
    (top / "memory.max").unlink()
    os.mkfifo(top / "memory.max")  # a FIFO without a writer
    assert room(7, tmp_path) is None


def test_links_are_not_followed(tmp_path: Path, top: Path) -> None:
    group(tmp_path / "elsewhere", V2, 1000, 700, 0)
    says(tmp_path, "0::/\n")
    top.rmdir()
    top.symlink_to(tmp_path / "elsewhere")
    assert seen(tmp_path) is None


@pytest.mark.root
def test_a_real_limit_is_read(tmp_path: Path) -> None:
    memory = Path("/sys/fs/cgroup/memory")
    if not (memory / "memory.stat").exists():
        pytest.skip("needs the memory controller of cgroup v1")
    mine = memory / f"drainmon-{os.getpid()}"
    mine.mkdir()
    try:
        with subprocess.Popen(["sleep", "60"]) as child:
            (mine / "cgroup.procs").write_text(str(child.pid))
            (mine / "memory.limit_in_bytes").write_text(str(64 << 20))
            left = room(child.pid)
            child.kill()
        assert left is not None
        assert 32 << 20 < left <= 64 << 20
    finally:
        eventually(lambda: not (mine / "cgroup.procs").read_text())
        mine.rmdir()


def test_anonymous_memory_of_processes_is_added_up(tmp_path: Path) -> None:
    for pid, status in ((7, "Name:\tnginx\nRssAnon:\t    2048 kB\n"), (8, "Name:\tnginx\n")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "status").write_text(status)
    processes = [NginxProcess(pid, 1, 5) for pid in (7, 8, 9)]
    assert used_by(processes, tmp_path) == 2048 * 1024
