"""The shipped BPF object: size and form."""

from pathlib import Path

from drainmon.kernel.programs import OBJECT


def test_the_object_is_small_and_stripped() -> None:
    data = OBJECT.read_bytes()
    assert len(data) < 100_000
    assert b".BTF.ext" in data
    assert b".debug_info" not in data


def test_the_header_of_kernel_types_is_short() -> None:
    assert len(Path("bpf/kernel.h").read_text().splitlines()) < 200
