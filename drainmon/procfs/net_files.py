"""Open files of /proc/<pid>/net. Each keeps the namespace alive, and can be read again after the
process has ended."""

import mmap
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

PAGE = mmap.PAGESIZE
"""Bytes of one read. A longer table takes several reads, between which the kernel may skip a
socket."""

_PIECE = 1 << 16  # parsed at once; it fits into the processor's cache


def open_net(pid: int, root: Path = Path("/proc")) -> tuple[int, ...]:
    """File descriptors of snmp, netstat, tcp and, unless the kernel is without IPv6, tcp6.

    Raises OSError "cannot X: why", FileNotFoundError when the process has ended.
    """
    files = []
    with ExitStack() as opened:
        for name in ("snmp", "netstat", "tcp", "tcp6"):
            try:
                files.append(_open(root / str(pid) / "net" / name))
            except FileNotFoundError:
                if name != "tcp6":
                    raise
            else:
                opened.callback(os.close, files[-1])
        opened.pop_all()
    return tuple(files)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise OSError(error.errno, f"cannot open {path}: {error.strerror}") from error


def read_whole(file: int) -> bytes:
    """The present contents of a short file."""
    return os.pread(file, _PIECE, 0)


def read_rows(table: int) -> Iterator[memoryview]:
    """The present contents of a table, in pieces that are valid until the next. Each whole row is
    between two newlines of one piece."""
    os.lseek(table, 0, os.SEEK_SET)
    buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    size = 0
    while part := os.readv(table, [view[size:]]):
        size += part
        if _PIECE - size < PAGE:
            yield view[:size]
            rest = buffer[buffer.rfind(b"\n", 0, size) : size]
            size = len(rest)
            view[:size] = rest
    yield view[:size]
