"""What the kernel's types reveal of its lists of sockets."""

import subprocess
from pathlib import Path

import pytest

from drainmon.kernel.btf import Behaviour, read_behaviour

BEFORE = "struct item { int *sk; } item;"
HALFWAY = "union bpf_tcp_iter_batch_item { int *sk; } item;"
SINCE = "union bpf_tcp_iter_batch_item { int *sk; unsigned long long cookie; } item;"
PREEMPTIBLE = (
    "typedef struct { int lock; } class_srcu_fast_notrace_t; class_srcu_fast_notrace_t guard;"
)


@pytest.mark.parametrize(
    ("types", "behaviour"),
    [
        (BEFORE, Behaviour()),
        (HALFWAY, Behaviour()),
        (SINCE, Behaviour(whole_passes=True)),
        (PREEMPTIBLE, Behaviour(preemptible=True)),
    ],
    ids=range(4),
)
def test_types_reveal_the_behaviour(tmp_path: Path, types: str, behaviour: Behaviour) -> None:
    compiled, btf = tmp_path / "types.o", tmp_path / "types"
    clang = ["clang", "-g", "-target", "bpf", "-x", "c", "-", "-c", "-o", str(compiled)]
    subprocess.run(clang, input=types, text=True, check=True)
    copy = ["llvm-objcopy", f"--dump-section=.BTF={btf}", str(compiled), "/dev/null"]
    subprocess.run(copy, check=True)
    assert read_behaviour(btf) == behaviour


def test_unreadable_types_reveal_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x9f\xeb\x01\0" + bytes(100))
    assert read_behaviour(broken) == Behaviour()
    assert read_behaviour(tmp_path / "none") == Behaviour()
