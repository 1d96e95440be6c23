"""Runs a function with tracefs mounted, whether or not the host has mounted it.

A new thread gets a mount namespace and a working directory of its own; both end with it.
"""

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

# linux/sched.h, linux/mount.h
CLONE_NEWNS = 0x00020000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

MOUNT_POINT = Path("/sys/kernel/tracing")
PLACES = (MOUNT_POINT, Path("/sys/kernel/debug/tracing"))

T = TypeVar("T")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.unshare.argtypes = (ctypes.c_int,)
_libc.mount.argtypes = (
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_void_p,
)


def _must(result: int, doing: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        why = os.strerror(number)
        if number == errno.EPERM:
            why += " (needs CAP_SYS_ADMIN)"
        raise OSError(number, f"cannot {doing}: {why}")


def _mount() -> None:
    _must(_libc.unshare(CLONE_NEWNS), "trace the kernel")
    if any((place / "events").is_dir() for place in PLACES):
        return
    _must(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "have mounts of our own")
    target = str(MOUNT_POINT).encode()
    _must(_libc.mount(b"tracefs", target, b"tracefs", 0, None), f"mount tracefs on {MOUNT_POINT}")


def call_with(function: Callable[[], T]) -> T:
    """The result of `function`, or what it raises. Raises OSError when tracefs cannot be
    mounted."""
    future: Future[T] = Future()

    def body() -> None:
        try:
            _mount()
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=body, name="tracefs", daemon=True)
    thread.start()
    thread.join()
    return future.result()


def has_event(category: str, event: str) -> bool:
    """Whether the kernel has a tracepoint; call it inside of `call_with`."""
    return any((place / "events" / category / event / "format").is_file() for place in PLACES)
