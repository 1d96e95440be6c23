"""The file system of a file: fstatfs(2), which Python lacks."""

import ctypes
import os

_CGROUPS = frozenset({0x27E0EB, 0x63677270})  # CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC
_LONGEST = 256  # bytes of struct statfs, which begins with the file system's number

_libc = ctypes.CDLL(None, use_errno=True)


def is_cgroup(fd: int) -> bool:
    """Whether the file, which may be open with O_PATH, is in a cgroup file system of either
    version. Raises OSError."""
    result = ctypes.create_string_buffer(_LONGEST)
    if _libc.fstatfs(fd, result) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return ctypes.c_long.from_buffer(result).value in _CGROUPS
