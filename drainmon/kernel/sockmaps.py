"""Finds out whether a BPF sockmap may carry data of this node's sockets past TCP.

Such data is in none of TCP's counters, and sock_diag does not show which sockets are in a map. With
a sockmap on the node, byte counts of zero do not prove silence."""

import ctypes
import errno
import os
from contextlib import suppress
from functools import cached_property

from drainmon.kernel import libbpf

_SOCKMAP, _SOCKHASH = 15, 18  # enum bpf_map_type


class _MapInfo(ctypes.Structure):
    """The first fields of struct bpf_map_info."""

    _fields_ = (("type", ctypes.c_uint32), ("id", ctypes.c_uint32))


class Sockmaps:
    """The kernel's list of maps. If it cannot be read, there may be a sockmap."""

    @cached_property
    def _lib(self) -> libbpf.Library | None:
        with suppress(OSError):
            return libbpf.load_library()
        return None

    def exist(self) -> bool:
        """Whether there may be a sockmap now. Takes some microseconds for each map of the node."""
        if self._lib is None:
            return True
        number, result = ctypes.c_uint32(0), 0
        while not result:
            result = self._lib.bpf_map_get_next_id(number, ctypes.byref(number))
            if not result and _is_sockmap(self._lib, number.value):
                return True
        return result not in {-errno.ENOENT, -errno.ENOSYS}  # the end; a kernel without BPF


def _is_sockmap(lib: libbpf.Library, number: int) -> bool:
    fd = lib.bpf_map_get_fd_by_id(number)
    if fd < 0:
        return bool(fd != -errno.ENOENT)  # ENOENT: the map has been freed
    try:
        info, size = _MapInfo(), ctypes.c_uint32(ctypes.sizeof(_MapInfo))
        if lib.bpf_obj_get_info_by_fd(fd, ctypes.byref(info), ctypes.byref(size)):
            return True
        return info.type in {_SOCKMAP, _SOCKHASH}
    finally:
        os.close(fd)
