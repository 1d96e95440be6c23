"""A source's events, consumed by the event loop as they arrive."""

import asyncio
from collections.abc import Callable, Iterable


class Events:
    """Calls `consume` whenever one of the file descriptors is readable, until it raises. After that
    nothing would be woken, so `check` raises the same error."""

    def __init__(self, fds: Iterable[int], consume: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._fds = tuple(fds)
        self._consume = consume
        self._failure: Exception | None = None
        for fd in self._fds:
            self._loop.add_reader(fd, self._on_readable)

    def _on_readable(self) -> None:
        try:
            self._consume()
        except Exception as error:
            self._failure = error
            self.close()

    def check(self) -> None:
        if self._failure:
            raise self._failure

    def close(self) -> None:
        for fd in self._fds:
            self._loop.remove_reader(fd)
