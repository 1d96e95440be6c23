"""Which file system a file is on: fstatfs(2), which Python has not."""

import ctypes
import os

_CGROUPS = frozenset({0x27E0EB, 0x63677270})  # CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC
_LONGEST = 256  # bytes of struct statfs, which begins with the file system's number

_libc = ctypes.CDLL(None, use_errno=True)


def is_cgroup(fd: int) -> bool:
    """Whether the file, which need not be opened for more than its path, is one of cgroups of
    either version. Raises OSError."""
    told = ctypes.create_string_buffer(_LONGEST)
    if _libc.fstatfs(fd, told) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return ctypes.c_long.from_buffer(told).value in _CGROUPS
