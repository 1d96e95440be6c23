"""The calling thread under another name, as the kernel sees it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def named(name: str) -> Iterator[None]:
    """It has the name meanwhile, cut as the kernel does."""
    comm = Path("/proc/thread-self/comm")
    before = comm.read_text()
    comm.write_text(name)
    try:
        yield
    finally:
        comm.write_text(before.removesuffix("\n"))
