"""The program that bcc compiles: its structs, its requirements, and its errors."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from drainmon.kernel import bcc_headers, tracefs
from drainmon.kernel.bcc_conntrack import PROGRAM, BccConntrack, Name, Place

pytestmark = pytest.mark.root


def test_structs_of_the_bcc_program_match(tmp_path: Path) -> None:
    """As laid out by the host's compiler: every padding is explicit."""
    text = PROGRAM.read_text()
    structs = text[text.index("/* Shared with") : text.index("struct port {")]
    source = tmp_path / "sizes.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdio.h>\n"
        "typedef unsigned char u8; typedef unsigned short u16; typedef unsigned u32;\n"
        f"{structs}\n"
        'int main(void) { printf("%zu %zu %zu", sizeof(struct place),'
        " offsetof(struct place, port), sizeof(struct name)); }"
    )
    subprocess.run(["gcc", "-o", tmp_path / "sizes", source], check=True)
    sizes = subprocess.run([tmp_path / "sizes"], check=True, capture_output=True, text=True).stdout
    expected = [ctypes.sizeof(Place), Place.port.offset, ctypes.sizeof(Name)]
    assert list(map(int, sizes.split())) == expected


def load(path: Path) -> BccConntrack:
    return BccConntrack((), lambda: None, lambda *_: None, path)


def test_a_program_that_does_not_compile_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.bcc.c"
    broken.write_text("TRACEPOINT_PROBE(sock, inet_sock_set_state) { return nothing; }")
    with pytest.raises(OSError, match=r"cannot load broken.bcc.c with the headers of /.*: Failed"):
        load(broken)


def test_missing_headers_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(bcc_headers.VARIABLE, "/nowhere")
    with pytest.raises(OSError, match="cannot use bcc: no kernel headers in /nowhere"):
        load(PROGRAM)


def test_a_missing_program_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot load .*: not built"):
        load(tmp_path / "none")


def test_tracefs_is_mounted_for_one_thread_only() -> None:
    before = tracefs_mounts()
    assert tracefs.call_with(lambda: tracefs.has_event("sock", "inet_sock_set_state"))
    assert not tracefs.call_with(lambda: tracefs.has_event("sock", "no_such_event"))
    assert tracefs.call_with(tracefs_mounts)
    assert tracefs_mounts() == before


def tracefs_mounts() -> list[str]:
    """The tracefs mounts that the calling thread sees."""
    mounts = Path("/proc/thread-self/mounts").read_text().splitlines()
    return [mount for mount in mounts if mount.split()[2] == "tracefs"]


def test_without_privileges_the_error_names_the_capability() -> None:
    code = "from drainmon.kernel import tracefs; tracefs.call_with(print)"
    tried = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", code],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "cannot trace the kernel: Operation not permitted (needs CAP_SYS_ADMIN)" in tried.stderr
