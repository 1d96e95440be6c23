"""What the kernel's types reveal of its lists of sockets."""

import subprocess
from pathlib import Path

import pytest

from drainmon.kernel.btf import passes_are_whole

BEFORE = "struct item { int *sk; } item;"
HALFWAY = "union bpf_tcp_iter_batch_item { int *sk; } item;"
SINCE = "union bpf_tcp_iter_batch_item { int *sk; unsigned long long cookie; } item;"


@pytest.mark.parametrize(
    ("types", "whole"), [(BEFORE, False), (HALFWAY, False), (SINCE, True)], ids=range(3)
)
def test_cookies_make_a_pass_whole(tmp_path: Path, types: str, whole: bool) -> None:
    compiled, btf = tmp_path / "types.o", tmp_path / "types"
    clang = ["clang", "-g", "-target", "bpf", "-x", "c", "-", "-c", "-o", str(compiled)]
    subprocess.run(clang, input=types, text=True, check=True)
    copy = ["llvm-objcopy", f"--dump-section=.BTF={btf}", str(compiled), "/dev/null"]
    subprocess.run(copy, check=True)
    assert passes_are_whole(btf) == whole


def test_unreadable_types_make_no_pass_whole(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x9f\xeb\x01\0" + bytes(100))
    assert not passes_are_whole(broken)
    assert not passes_are_whole(tmp_path / "none")
