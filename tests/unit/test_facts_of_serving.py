"""Facts about serving: the socket's folder, the pods' logs, and a running daemon."""

import socket
from pathlib import Path

import pytest

from drainmon.facts import serving
from drainmon.facts.fact import Status
from drainmon.procfs.net_sockets import SUN_PATH
from tests.unit.fact_tree import plant


def test_missing_pod_logs_are_reported(tmp_path: Path) -> None:
    assert serving.pod_logs(tmp_path / "none", has_kubelet=True).status == Status.DEGRADED
    assert serving.pod_logs(tmp_path / "none", has_kubelet=False).status == Status.NOTE
    (tmp_path / "default_web-1_1b5c81bc-6dce-4cf0-aef1-f92948380bdb").mkdir()
    (tmp_path / "lost+found").mkdir()
    assert serving.pod_logs(tmp_path, has_kubelet=True).found == f"{tmp_path}, 1 pods"


def test_the_socket_folder_is_checked(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    path = Path("/run/drainmon/drainmon.sock")
    assert serving.socket_folder(tmp_path, path).found == "/run/drainmon can be made"
    (tmp_path / "run/drainmon").mkdir()
    assert serving.socket_folder(tmp_path, path).found == "/run/drainmon"
    (tmp_path / "run/drainmon/drainmon.sock").write_text("")
    assert serving.socket_folder(tmp_path, path).status == Status.MISSING
    assert serving.socket_folder(tmp_path, path / "below").status == Status.MISSING
    long = serving.socket_folder(tmp_path, Path("/run") / ("x" * 103))
    assert (long.status, "longer than 107 bytes" in long.found) == (Status.MISSING, True)


def test_the_longest_allowed_path_can_be_bound(tmp_path: Path) -> None:
    length = SUN_PATH - 2 - len(str(tmp_path))
    for extra, status in ((0, Status.OK), (1, Status.MISSING)):
        path = tmp_path / ("x" * (length + extra))
        assert serving.socket_folder(Path("/"), path).status == status
        with socket.socket(socket.AF_UNIX) as listener:
            if extra:
                with pytest.raises(OSError, match="path too long"):
                    listener.bind(str(path))
            else:
                listener.bind(str(path))


MOUNTS = r"""
22 28 0:21 / /proc rw,nosuid shared:12 - proc proc rw
28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
25 28 0:23 / /run rw,nosuid,nodev,noexec,relatime shared:5 - tmpfs tmpfs rw,size=10%
40 25 0:50 / /run/with\040space rw - tmpfs tmpfs rw
41 28 0:51 / /stack rw,noexec - ext4 /dev/sdb rw
42 41 0:52 / /stack rw - xfs /dev/sdc rw
torn
"""


@pytest.mark.parametrize(
    ("folder", "kind", "whom"),
    [
        ("/run/drainmon", "tmpfs on /run is noexec", "hostUsers: false"),
        ("/running", "ext4 on /", ""),
        ("/run/with space/x", "tmpfs on /run/with space", ""),
        ("/stack", "xfs on /stack", ""),
    ],
)
def test_the_file_system_of_the_socket_is_reported(
    tmp_path: Path, folder: str, kind: str, whom: str
) -> None:
    plant(tmp_path, {"proc/self/mountinfo": MOUNTS})
    said = serving.file_system(tmp_path, Path(folder) / "drainmon.sock")
    assert (said.found, said.status) == (kind, Status.OK)
    assert whom in said.advice


def test_the_running_daemon_is_reported() -> None:
    def silent(_: str) -> dict[str, object]:
        raise OSError("cannot ask the daemon at /x: timed out")

    def missing(_: str) -> dict[str, object]:
        raise ConnectionError("cannot ask the daemon at /x: No such file or directory")

    said = serving.daemon(lambda _: {"version": "1.2", "source": "bcc"}, Path("/x"))
    assert (said.status, said.found) == (Status.OK, "version 1.2, source bcc")
    hung = serving.daemon(silent, Path("/x"))
    assert (hung.status, hung.found) == (
        Status.DEGRADED,
        "cannot ask the daemon at /x: timed out",
    )
    none = serving.daemon(missing, Path("/x"))
    assert (none.status, "drainmon daemon" in none.advice) == (Status.NOTE, True)
    other = serving.daemon(lambda _: {}, Path("/x"))
    assert (other.status, other.found) == (Status.DEGRADED, "something else answers at /x")
