"""What the kernel's types (BTF) reveal of its behaviour."""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

from drainmon.kernel.libbpf import Library, load_library

BTF = Path("/sys/kernel/btf/vmlinux")
_UNION = 5  # kinds of types, linux/btf.h
_TYPEDEF = 8


class _Type(ctypes.Structure):
    """struct btf_type of linux/btf.h; its members follow."""

    _fields_ = (
        ("name_off", ctypes.c_uint32),
        ("info", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
    )


class _Member(ctypes.Structure):
    """struct btf_member of linux/btf.h."""

    _fields_ = (
        ("name_off", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("offset", ctypes.c_uint32),
    )


@dataclass(frozen=True)
class Behaviour:
    """What the types reveal; False where that is not known."""

    whole_passes: bool = False
    """An iterator over TCP sockets that is read in several parts lists each socket once, because it
    remembers the sockets of a bucket by their cookies ("bpf: tcp: Avoid socket skips and repeats
    during iteration", 6.17 and stable releases)."""
    preemptible: bool = False
    """Tracing programs can be preempted: tracepoints are guarded by SRCU, which does not disable
    preemption (7.0)."""


def read_behaviour(path: Path = BTF) -> Behaviour:
    """Read the kernel's types, which takes some megabytes and milliseconds."""
    try:
        lib = load_library()
    except OSError:
        return Behaviour()
    types = lib.btf__parse_raw(os.fsencode(path))
    if not types:
        return Behaviour()
    try:
        return Behaviour(
            whole_passes=_has_member(lib, types, "bpf_tcp_iter_batch_item", "cookie"),
            preemptible=_find(lib, types, "class_srcu_fast_notrace_t", _TYPEDEF) > 0,
        )
    finally:
        lib.btf__free(types)


def _find(lib: Library, types: int, name: str, kind: int) -> int:
    """The number of a type, negative where there is none."""
    return int(lib.btf__find_by_name_kind(types, name.encode(), kind))


def _has_member(lib: Library, types: int, union: str, member: str) -> bool:
    number = _find(lib, types, union, _UNION)
    address = lib.btf__type_by_id(types, number) if number > 0 else None
    if not address:
        return False
    count = _Type.from_address(address).info & 0xFFFF
    members = (_Member * count).from_address(address + ctypes.sizeof(_Type))
    names = (lib.btf__name_by_offset(types, each.name_off) for each in members)
    return member.encode() in names
