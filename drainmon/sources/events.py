"""A source's events, consumed by the event loop as they come."""

import asyncio
from collections.abc import Callable, Iterable


class Events:
    """Calls `consume` whenever one of the file descriptors is readable, until it fails: from then
    on `check` raises what it raised, as nobody would be woken any more."""

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
