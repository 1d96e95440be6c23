"""The socket's path: created, taken over from a dead daemon, never from a live one."""

import os
import socket
import stat
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from drainmon.server.unix_socket import bind, publish, remove


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


def test_a_live_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "drainmon.sock"
    with bind(path), pytest.raises(OSError, match=f"cannot listen on {path}: another daemon"):
        bind(path)


def test_a_live_socket_is_taken_over_when_the_new_one_is_ready(tmp_path: Path) -> None:
    path = tmp_path / "drainmon.sock"
    with bind(path) as old, bind(path, take_over=True) as new:
        old_inode = path.stat().st_ino
        assert reaches(path, old)
        publish(new, path)
        assert reaches(path, new)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        remove(path, old_inode)  # at the old one's end
        assert reaches(path, new)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_take_over_works_without_another_daemon(tmp_path: Path) -> None:
    path = tmp_path / "drainmon.sock"
    with bind(path, take_over=True) as listener:
        publish(listener, path)
        assert reaches(path, listener)


def reaches(path: Path, listener: socket.socket) -> bool:
    """Whether a connection to `path` reaches `listener`."""
    listener.settimeout(0)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return False
    return True


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("/etc")])
def test_a_file_that_is_not_a_socket_is_kept(tmp_path: Path, make: object) -> None:
    path = tmp_path / "drainmon.sock"
    make(path)  # type: ignore[operator]
    with pytest.raises(OSError, match="the path is not a socket"):
        bind(path)
    assert os.path.lexists(path)


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "drainmon.sock"
    with pytest.raises(OSError, match=f"cannot listen on {path}: "):
        bind(path)


def test_a_path_that_is_too_long_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot listen on .*: AF_UNIX path too long"):
        bind(tmp_path / ("x" * 120))


def test_the_socket_of_a_daemon_with_a_full_backlog_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "drainmon.sock"
    with ExitStack() as stack:
        busy = stack.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(str(path))
        busy.listen(0)
        with suppress(BlockingIOError):
            while True:
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(str(path))
        with pytest.raises(OSError, match="another daemon listens there"):
            bind(path)
        assert path.is_socket()


def test_a_socket_of_another_kind_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "drainmon.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        with pytest.raises(OSError, match=f"cannot listen on {path}: "):
            bind(path)
        assert path.is_socket()


def test_a_dangling_link_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "drainmon.sock"
    path.symlink_to(tmp_path / "missing")
    with pytest.raises(OSError, match="the path is not a socket"):
        bind(path)
    assert path.is_symlink()
    assert not (tmp_path / "missing").exists()


def test_a_link_to_a_stale_socket_is_kept(tmp_path: Path) -> None:
    stale, path = tmp_path / "stale", tmp_path / "drainmon.sock"
    bind(stale).close()
    path.symlink_to(stale)
    with pytest.raises(OSError, match="the path is not a socket"):
        bind(path)
    assert stale.is_socket()


def test_links_of_the_own_user_are_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "absolute").symlink_to(tmp_path / "there")
    (tmp_path / "sub" / "relative").symlink_to("../absolute")
    with bind(tmp_path / "sub" / "relative" / "new" / "drainmon.sock"):
        assert (tmp_path / "there" / "new" / "drainmon.sock").is_socket()


def test_a_circle_of_links_is_reported(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OSError, match="too many symbolic links"):
        bind(tmp_path / "one" / "drainmon.sock")


def test_a_new_folder_is_open_to_every_pod_with_any_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with bind(tmp_path / "a" / "b" / "drainmon.sock"):
            for folder in (tmp_path / "a", tmp_path / "a" / "b"):
                assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    finally:
        os.umask(before)


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    (folder / "sub").mkdir()
    for path in (folder / "drainmon.sock", folder / "sub" / "drainmon.sock"):
        with pytest.raises(OSError, match=f"others may write to the folder {folder}"):
            bind(path)
        assert not path.exists()


def test_a_folder_with_the_sticky_bit_is_allowed(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with bind(tmp_path / "drainmon.sock"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of two users")
def test_folders_and_links_of_another_user_are_refused(tmp_path: Path) -> None:
    for name in ("theirs", "open"):
        (tmp_path / name).mkdir()
    os.chown(tmp_path / "theirs", 101, 101)
    with pytest.raises(OSError, match=f"the folder {tmp_path}/theirs is another user's"):
        bind(tmp_path / "theirs" / "sub" / "drainmon.sock")
    (tmp_path / "open").chmod(0o1777)
    link = tmp_path / "open" / "link"
    link.symlink_to(tmp_path)
    os.chown(link, 101, 101, follow_symlinks=False)
    with pytest.raises(OSError, match=f"{link} is another user's symbolic link"):
        bind(link / "drainmon.sock")
    stale = tmp_path / "open" / "drainmon.sock"
    bind(stale).close()
    os.chown(stale, 101, 101)
    with pytest.raises(OSError, match="the path is another user's socket"):
        bind(stale)
    assert stale.is_socket()
