"""A BPF map, changed and read through libbpf."""

import ctypes
import errno
import time
from typing import Any

from drainmon.kernel import libbpf

ATTEMPTS = 10
REFILL = 0.0002
"""Seconds in which the kernel allocates more memory for maps: many inserts at once exhaust it. Each
pause is twice the one before, as a busy machine takes longer."""

_NO_ROOM = (-errno.E2BIG, -errno.ENOSPC, -errno.ENOMEM)

Data = ctypes.Structure | ctypes.Array[Any] | ctypes.c_uint32 | ctypes.c_uint64
"""A key or a value."""


class Map:
    """The map of a file descriptor; `name` is for errors."""

    def __init__(self, lib: ctypes.CDLL, fd: int, name: str) -> None:
        self._lib = lib
        self._fd = fd
        self._name = name

    def set(self, key: Data, value: Data) -> bool:
        """Insert or replace an entry. Returns False when there is no room or memory for it."""
        for attempt in range(ATTEMPTS):
            result = self._lib.bpf_map_update_elem(
                self._fd, ctypes.byref(key), ctypes.byref(value), 0
            )
            if result != -errno.ENOMEM:
                break
            time.sleep(REFILL * 2**attempt)
        if result in _NO_ROOM:
            return False
        libbpf.must(result, f"change the map {self._name}")
        return True

    def remove(self, key: Data) -> None:
        """Remove the entry, if there is one."""
        result = self._lib.bpf_map_delete_elem(self._fd, ctypes.byref(key))
        if result != -errno.ENOENT:
            libbpf.must(result, f"remove an entry of the map {self._name}")

    def get(self, key: Data, value: Data) -> bool:
        """Read an entry into `value`, and return whether there is one."""
        result = self._lib.bpf_map_lookup_elem(self._fd, ctypes.byref(key), ctypes.byref(value))
        if result == -errno.ENOENT:
            return False
        libbpf.must(result, f"read the map {self._name}")
        return True
