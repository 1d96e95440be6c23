"""`drainmon install-client` replaces the client in one step."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from drainmon.cli import install as command
from drainmon.cli import main
from drainmon.cli.install import BUILT, default_client

INSTALL = """
import sys
from pathlib import Path
from drainmon.cli import install, main
client, times, socket = sys.argv[1:]
install.default_client = lambda: Path(client)
for _ in range(int(times)):
    main.main(["install-client", "--socket", socket])
"""


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """A program that runs until its standard input ends."""
    path = tmp_path / "drainmon-wait"
    shutil.copy(shutil.which("cat") or "", path)
    return path


def install(client: Path, folder: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "default_client", lambda: client)
        return main.main(["install-client", "--socket", str(folder / "drainmon.sock")])


def installer(client: Path, folder: Path, times: int) -> list[str | Path]:
    """The command line of a process that installs the client the given number of times."""
    return [sys.executable, "-c", INSTALL, client, str(times), folder / "drainmon.sock"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_installed_client_is_executable_for_all(client: Path, tmp_path: Path) -> None:
    client.chmod(0o600)
    folder = tmp_path / "run" / "drainmon"
    assert install(client, folder) == 0
    placed = folder / "drainmon-wait"
    assert stat.S_IMODE(placed.stat().st_mode) == 0o755
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert placed.read_bytes() == client.read_bytes()
    assert names(folder) == ["drainmon-wait"]


def test_a_checkout_has_its_client_in_its_build_folder(
    client: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "bin"
    scripts.mkdir()
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(scripts))
    beside = scripts / "drainmon-wait"
    assert default_client(client) == client
    with pytest.raises(OSError, match=f"neither {beside} nor .*/none is there; .* `make build`"):
        default_client(tmp_path / "none")
    beside.touch()
    assert default_client(client) == beside
    root = Path(__file__).parents[2]
    assert root / "build" / "drainmon-wait" == BUILT


def test_a_running_client_is_replaced(client: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    install(client, folder)
    placed = folder / "drainmon-wait"
    with subprocess.Popen([placed], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        with pytest.raises(OSError, match="Text file busy"):
            placed.write_bytes(b"")
        client.write_bytes(b"#!/bin/sh\n")
        assert install(client, folder) == 0
        assert running.communicate(b"still there")[0] == b"still there"
    assert placed.read_bytes() == b"#!/bin/sh\n"


def test_there_is_a_whole_client_at_every_moment(client: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    install(client, folder)
    sizes = set()
    argv = installer(client, folder, times=50)
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as installing:
        while installing.poll() is None:
            sizes.add((folder / "drainmon-wait").stat().st_size)
    assert installing.returncode == 0
    assert sizes == {client.stat().st_size}


@pytest.mark.parametrize(
    ("client", "folder", "why"),
    [
        ("none", "run", "none: No such file or directory"),
        (".", "run", "Is a directory"),
        ("file", "file", "file is not a folder"),
        ("file", "taken", "Is a directory"),
    ],
)
def test_a_failed_installation_is_reported(
    client: str, folder: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "drainmon-wait").mkdir(parents=True)
    assert install(tmp_path / client, tmp_path / folder) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"drainmon: cannot install {tmp_path / folder / 'drainmon-wait'}: ")
    assert why in said
    if (tmp_path / folder).is_dir():
        assert names(tmp_path / folder) in ([], ["drainmon-wait"])


def test_a_folder_that_others_may_write_to_is_refused(
    client: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    above = tmp_path / "open"
    above.mkdir()
    above.chmod(0o777)
    assert install(client, above / "run") == 1
    target = above / "run" / "drainmon-wait"
    why = f"cannot install {target}: others may write to the folder {above}"
    assert capsys.readouterr().err == f"drainmon: {why}\n"
    assert names(above) == []


@pytest.mark.root
@pytest.mark.parametrize("made_by", ["a link", "a folder"])
def test_a_folder_of_another_user_is_refused(
    made_by: str, client: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    if made_by == "a link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to("elsewhere")
    else:
        folder.mkdir()
    os.chown(folder, 65534, 65534, follow_symlinks=False)
    assert install(client, folder) == 1
    assert "another user's" in capsys.readouterr().err
    assert names(folder) == []


@pytest.mark.root
def test_a_noexec_folder_is_reported(client: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    mount = f'mount -t tmpfs -o noexec none "{folder}" && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, "sh", *installer(client, folder, times=1)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"installed {folder}/drainmon-wait\n"
    assert f"cannot run {folder}/drainmon-wait: the file system is mounted noexec" in done.stderr
