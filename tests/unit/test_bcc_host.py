"""bcc's requirements of the host, and the errors when they are missing."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from drainmon.kernel import bcc_headers

LOAD = "from drainmon.kernel import bcc_library; bcc_library.load()"


def touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def make_headers(build: Path) -> Path:
    """A complete headers folder, as in most distributions."""
    touch(build / "include/linux/kconfig.h")
    touch(build / "include/generated/autoconf.h")
    return build


def make_split_headers(root: Path, version: str) -> tuple[Path, Path]:
    """Two headers folders, as in Debian: sources and build."""
    source = root / f"usr/src/linux-headers-{version}-common"
    build = root / f"usr/src/linux-headers-{version}-amd64"
    touch(source / "include/linux/kconfig.h")
    touch(build / "include/generated/autoconf.h")
    touch(build / "arch/x86/include/generated/asm/errno.h")
    touch(build / "Makefile", f"include {source}/Makefile\n")
    return source, build


@pytest.fixture(autouse=True)
def unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(bcc_headers.VARIABLE, raising=False)


def test_the_running_kernels_headers_come_first(tmp_path: Path) -> None:
    make_headers(tmp_path / "usr/src/linux-headers-99.0-generic")
    own = make_headers(tmp_path / "lib/modules" / platform.release() / "build")
    assert bcc_headers.find(tmp_path) == bcc_headers.Headers(own, own)
    assert bcc_headers.find(tmp_path).flags() == []


def test_headers_of_another_version_suffice(tmp_path: Path) -> None:
    other = make_headers(tmp_path / "usr/src/kernels/5.14.0-1.el9.x86_64")
    assert bcc_headers.find(tmp_path).build == other


def test_split_headers_are_joined(tmp_path: Path) -> None:
    source, build = make_split_headers(tmp_path, "6.1.0-50")
    headers = bcc_headers.find(tmp_path)
    assert headers == bcc_headers.Headers(source, build)
    assert f"-I{build}/include" in headers.flags()
    assert f"-I{build}/arch/x86/include/generated/uapi" in headers.flags()


def test_headers_named_by_the_variable_are_used_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_headers(tmp_path / "usr/src/linux-headers-6.1")
    named = make_headers(tmp_path / "mine")
    monkeypatch.setenv(bcc_headers.VARIABLE, str(named))
    assert bcc_headers.find(tmp_path).build == named
    monkeypatch.setenv(bcc_headers.VARIABLE, "/nowhere")
    with pytest.raises(OSError, match=r"no kernel headers in /nowhere; install"):
        bcc_headers.find(tmp_path)


def test_the_error_names_the_searched_folders(tmp_path: Path) -> None:
    dangling = tmp_path / "lib/modules" / platform.release() / "build"
    dangling.parent.mkdir(parents=True)
    dangling.symlink_to(tmp_path / "usr/src/gone")
    half = tmp_path / "usr/src/linux-headers-6.1-amd64"
    touch(half / "include/generated/autoconf.h")
    with pytest.raises(OSError, match="cannot use bcc: no kernel headers") as caught:
        bcc_headers.find(tmp_path)
    for said in (str(dangling), str(half), "apt install linux-headers", bcc_headers.VARIABLE):
        assert said in str(caught.value)


@pytest.mark.parametrize(
    ("impostor", "said"),
    [
        ("", "is another package of that name (pip uninstall bcc; Debian: apt install"),
        ("class BPF: pass", "is another package of that name"),
        ("print 'Python 2'", "cannot use bcc: "),
        ("import ctypes; ctypes.CDLL('libnone.so.0')", "cannot use bcc: libnone.so.0"),
        ("import no_such_module", "cannot use bcc: No module named 'no_such_module'"),
        (None, "cannot use bcc: python3-bpfcc is not installed (Debian: apt install"),
    ],
)
def test_another_bcc_or_none_is_refused(tmp_path: Path, impostor: str | None, said: str) -> None:
    if impostor is not None:
        touch(tmp_path / "bcc/__init__.py", impostor)
    # -S: the system's packages are hidden, and with them the real bcc.
    tried = subprocess.run(
        [sys.executable, "-S", "-W", "error", "-c", LOAD],
        env={"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"},
        capture_output=True,
        text=True,
        check=False,
    )
    error = tried.stderr.splitlines()[-1]
    assert "cannot use bcc: " in error
    assert said in error
