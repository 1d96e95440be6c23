"""Running a function inside a network namespace.

A thread enters the namespace by setns(2) and ends with the function: no other
thread of the process, least of all the event loop's, ever changes namespace.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

CLONE_NEWNET = 0x40000000

T = TypeVar("T")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.setns.argtypes = (ctypes.c_int, ctypes.c_int)
_libc.setns.restype = ctypes.c_int


def enter(fd: int) -> None:
    """Move the calling thread into the network namespace open as `fd`.

    Raises OSError when the kernel refuses (no CAP_SYS_ADMIN, not a netns).
    """
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"cannot enter the network namespace: {os.strerror(errno)}")


def call_in(fd: int, function: Callable[[], T]) -> T:
    """The result of `function`, run by a thread of its own inside the netns open as `fd`.

    Whatever the function raises, or OSError from `enter`, is raised here.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            enter(fd)
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=body, name="netns")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
