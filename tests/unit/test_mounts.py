"""Mounts in /proc/<pid>/mountinfo."""

from pathlib import Path

import pytest

from drainmon.procfs.mounts import mount_of, mounts, parse_mounts

MOUNTINFO = r"""
22 28 0:21 / /proc rw,nosuid shared:12 - proc proc rw
28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
25 28 0:23 / /run rw,nosuid,nodev,noexec,relatime shared:5 - tmpfs tmpfs rw,size=10%
40 25 0:50 / /run/with\040space rw - tmpfs tmpfs rw
41 28 0:51 / /stack rw,noexec - ext4 /dev/sdb rw
42 41 0:52 / /stack rw - xfs /dev/sdc rw
43 28 0:53 / /hidden/below rw - xfs /dev/sdd rw
44 28 0:54 / /hidden rw - xfs /dev/sde rw
45 28 0:23 /gone//deleted /gone rw - tmpfs tmpfs rw
46 28 8:1 /a /torn
x y 8:1 / /torn rw - ext4 /dev/sda1 rw
"""


@pytest.mark.parametrize(
    ("path", "device"),
    [
        ("/", "8:1"),
        ("/run/drainmon", "0:23"),
        ("/running", "8:1"),
        ("/run/with space/x", "0:50"),
        ("/stack", "0:52"),
        ("/hidden/below", "0:54"),
        ("/gone", "8:1"),
        ("/torn", "8:1"),
    ],
)
def test_the_mount_of_a_path_is_found(path: str, device: str) -> None:
    found = mount_of(parse_mounts(MOUNTINFO), Path(path))
    assert found
    assert found.device == device


def test_noexec_is_the_mounts_own() -> None:
    assert [row.point for row in parse_mounts(MOUNTINFO) if row.noexec] == ["/run", "/stack"]


def test_a_process_whose_root_is_not_a_mount_point() -> None:
    rows = parse_mounts("50 28 0:50 / /run rw - tmpfs tmpfs rw\n")
    assert mount_of(rows, Path("/run/x")) == rows[0]
    assert mount_of(rows, Path("/etc")) is None


def test_every_folder_of_this_host_is_on_the_device_that_stat_gives() -> None:
    rows = mounts()
    for folder in (Path("/"), Path("/proc"), Path("/dev"), Path("/sys")):
        found = mount_of(rows, folder)
        assert found
        device = folder.stat().st_dev
        assert found.device == f"{device >> 8 & 0xFFF}:{device & 0xFF}"


def test_mounts_of_an_ended_process_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        mounts(1, tmp_path)
