"""Renames the calling thread, as seen by the kernel."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def named(name: str) -> Iterator[None]:
    """Give the thread the name during the block, truncated as by the kernel."""
    comm = Path("/proc/thread-self/comm")
    before = comm.read_text()
    comm.write_text(name)
    try:
        yield
    finally:
        comm.write_text(before.removesuffix("\n"))
