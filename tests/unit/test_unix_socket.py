"""The socket's place: made, taken over from the dead, never from the living."""

import os
import socket
import stat
from pathlib import Path

import pytest

from drainmon.server.unix_socket import bind


def test_folder_and_socket_are_open_to_every_pod(tmp_path: Path) -> None:
    path = tmp_path / "new" / "drainmon.sock"
    with bind(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "drainmon.sock"
    bind(path).close()
    assert path.is_socket()
    bind(path).close()


def test_a_live_socket_is_not(tmp_path: Path) -> None:
    path = tmp_path / "drainmon.sock"
    with bind(path), pytest.raises(OSError, match=f"cannot listen on {path}: another daemon"):
        bind(path)


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("/etc")])
def test_what_is_no_socket_stays(tmp_path: Path, make: object) -> None:
    path = tmp_path / "drainmon.sock"
    make(path)  # type: ignore[operator]
    with pytest.raises(OSError, match="something else than a socket"):
        bind(path)
    assert os.path.lexists(path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "drainmon.sock"
    with pytest.raises(OSError, match=f"cannot listen on {path}: "):
        bind(path)


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot listen on .*: AF_UNIX path too long"):
        bind(tmp_path / ("x" * 120))
