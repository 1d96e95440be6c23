"""Runs a function inside a network namespace.

A thread enters the namespace by setns(2) and ends with the function. No other thread of the
process, least of all the event loop's, ever changes its namespace."""

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
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
        number = ctypes.get_errno()
        raise OSError(number, f"cannot enter the network namespace: {os.strerror(number)}")


def spawn_in(fd: int, function: Callable[[], T]) -> Future[T]:
    """The future result of `function`, run by a new thread inside the netns open as `fd`. The
    future raises what the function raises, or OSError of `enter`."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # it cannot be cancelled any more
    own_fd = os.dup(fd)

    def body() -> None:
        try:
            enter(own_fd)
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)
        finally:
            os.close(own_fd)

    try:
        threading.Thread(target=body, name="netns", daemon=True).start()
    except RuntimeError as error:  # no thread can start
        os.close(own_fd)
        raise OSError(errno.EAGAIN, f"cannot enter the network namespace: {error}") from error
    return future


def call_in(fd: int, function: Callable[[], T]) -> T:
    """The result of `function`, run by a new thread inside the netns open as `fd`. Blocks."""
    return spawn_in(fd, function).result()
