"""Processes that a test may have left."""

import os
from collections.abc import Iterator

import psutil


def processes(word: str) -> list[psutil.Process]:
    """Processes with `word` in their command line, except this one."""

    def found() -> Iterator[psutil.Process]:
        for process in psutil.process_iter(["cmdline"]):
            if process.pid != os.getpid() and word in " ".join(process.info["cmdline"] or ()):
                yield process

    return list(found())
