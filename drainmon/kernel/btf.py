"""What the kernel's types (BTF) reveal of its behaviour."""

import ctypes
import os
from pathlib import Path

from drainmon.kernel.libbpf import Library, load_library

VMLINUX = Path("/sys/kernel/btf/vmlinux")
_UNION = 5  # BTF_KIND_UNION of linux/btf.h
_ITEM = "bpf_tcp_iter_batch_item", "cookie"


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


def passes_are_whole(path: Path = VMLINUX) -> bool:
    """Whether an iterator over TCP sockets that was read in several parts lists each socket once:
    it then remembers the sockets of a bucket by their cookies ("bpf: tcp: Avoid socket skips and
    repeats during iteration", 6.17 and stable releases). False where that is not known. Takes some
    megabytes and milliseconds."""
    try:
        lib = load_library()
    except OSError:
        return False
    types = lib.btf__parse_raw(os.fsencode(path))
    if not types:
        return False
    try:
        return _has_member(lib, types, *_ITEM)
    finally:
        lib.btf__free(types)


def _has_member(lib: Library, types: int, union: str, member: str) -> bool:
    number = lib.btf__find_by_name_kind(types, union.encode(), _UNION)
    address = lib.btf__type_by_id(types, number) if number > 0 else None
    if not address:
        return False
    count = _Type.from_address(address).info & 0xFFFF
    members = (_Member * count).from_address(address + ctypes.sizeof(_Type))
    names = (lib.btf__name_by_offset(types, each.name_off) for each in members)
    return member.encode() in names
