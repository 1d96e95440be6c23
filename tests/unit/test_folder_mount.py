"""The socket's folder as containers see it: by rows of real runtimes, and in mount namespaces."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drainmon.pods.folder_mount import FolderMount, folder_mount
from tests.unit.fact_tree import plant

FOLDER = Path("/run/drainmon")

HOST = """
28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
25 28 0:23 / /run rw,nosuid,nodev,noexec,relatime shared:5 - tmpfs tmpfs rw,size=10%
"""
DAEMON = """
600 500 0:90 / / ro,relatime - overlay overlay rw,lowerdir=/a
601 600 0:23 /drainmon /run/drainmon rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size=10%
"""
ROOT_ROW = "700 500 0:99 / / rw,relatime - overlay overlay rw,lowerdir=/b\n"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("", None),
        ("701 700 0:23 /drainmon /run/drainmon ro - tmpfs tmpfs rw", ("/run/drainmon", False)),
        ("701 700 0:23 /drainmon /else ro,noexec,idmapped - tmpfs tmpfs rw", ("/else", True)),
        # A folder above, a folder below, another folder of the file system, another file system.
        ("701 700 0:23 / /node/run ro,noexec - tmpfs tmpfs rw", ("/node/run/drainmon", True)),
        ("701 700 0:23 /drainmon/sub /run/drainmon ro - tmpfs tmpfs rw", None),
        ("701 700 0:23 /drainmon-2 /run/drainmon ro - tmpfs tmpfs rw", None),
        ("701 700 0:24 /drainmon /run/drainmon ro - tmpfs tmpfs rw", None),
        # Deleted and made anew on the host: the container has the old one.
        ("701 700 0:23 /drainmon//deleted /run/drainmon ro - tmpfs tmpfs rw", None),
        # Hidden by another mount; mounted twice.
        (
            "701 700 0:23 /drainmon /run/drainmon ro - tmpfs tmpfs rw\n"
            "702 700 0:77 / /run ro - tmpfs tmpfs rw",
            None,
        ),
        (
            "701 700 0:23 /drainmon /a ro,noexec - tmpfs tmpfs rw\n"
            "702 700 0:23 /drainmon /b ro - tmpfs tmpfs rw",
            ("/b", False),
        ),
    ],
)
@pytest.mark.parametrize("own", [HOST, DAEMON])
def test_the_mount_is_found_in_a_containers_rows(
    own: str, rows: str, expected: tuple[str, bool] | None, tmp_path: Path
) -> None:
    plant(tmp_path, {"self/mountinfo": own, "7/mountinfo": ROOT_ROW + rows + "\n"})
    found = folder_mount(7, FOLDER, tmp_path)
    assert found == (expected and FolderMount(*expected))


def test_a_process_of_the_host_needs_no_mount(tmp_path: Path) -> None:
    plant(tmp_path, {"self/mountinfo": DAEMON, "7/mountinfo": HOST})
    assert folder_mount(7, FOLDER, tmp_path) == FolderMount("/run/drainmon", True)


@contextmanager
def in_mounts(script: str, folder: Path) -> Iterator[int]:
    """A process in its own mount namespace, which `script` has changed."""
    argv = ["unshare", "--mount", "sh", "-ec", f"{script}; echo; exec cat", "sh", str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        try:
            assert process.stdout.readline() == b"\n"
            yield process.pid
        finally:
            process.stdin.close()


HIDE = 'mount -t tmpfs none "${1%/*}"'
"""Hide the folder's parent: only another mount shows the folder, as in a container."""


@pytest.mark.root
@pytest.mark.parametrize(
    ("script", "point", "noexec"),
    [
        (":", "{}", False),
        (f'mount --bind "$1" /mnt; {HIDE}', "/mnt", False),
        (f'mount --bind "$1/.." /mnt; {HIDE}', "/mnt/{.name}", False),
        ('mount --bind "$1" "$1"; mount -o remount,bind,ro,noexec "$1"', "{}", True),
        ('mount -t tmpfs none "$1"', None, False),
    ],
)
def test_the_mount_is_found_in_a_mount_namespace(
    script: str, point: str | None, noexec: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    link = tmp_path / "link"
    link.symlink_to(folder)
    with in_mounts(script, folder) as pid:
        found = folder_mount(pid, link)
    assert found == (point and FolderMount(point.format(folder), noexec))
