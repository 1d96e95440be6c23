"""A caller's connection, with limits on the bytes that a caller sends ahead and on the time for
which it leaves an answer unread. aiohttp does everything else."""

import asyncio
import contextlib
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import cast

from drainmon.server.limits import REQUEST_BYTES, UNREAD_SECONDS, Admission
from drainmon.server.peer import Caller
from drainmon.server.replies import raw_error

TOO_LONG = raw_error(413, f"cannot read the request: it has more than {REQUEST_BYTES} bytes")


class Connection(asyncio.Protocol):
    """Sits between a transport and aiohttp's handler. Calls `closed` at the end."""

    def __init__(self, handler: asyncio.Protocol, closed: Callable[[], None]) -> None:
        self._handler = handler
        self._closed = closed
        self._received = 0
        self._answering = False
        self._unread: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """A context for answering a complete request."""
        self._received, self._answering = 0, True
        try:
            yield
        finally:
            self._answering = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # Pause as soon as the kernel takes no more, and resume when it has taken everything.
        self._transport.set_write_buffer_limits(high=0)
        self._handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received <= REQUEST_BYTES:
            self._handler.data_received(data)
        elif self._answering:
            self._transport.abort()
        elif not self._transport.is_closing():
            self._transport.write(TOO_LONG)
            self._transport.close()

    def eof_received(self) -> bool | None:
        return self._handler.eof_received()

    def pause_writing(self) -> None:
        loop = asyncio.get_running_loop()
        self._unread = loop.call_later(UNREAD_SECONDS, self._transport.abort)
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._stop_waiting()
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._handler.connection_lost(exc)
        self._closed()

    def _stop_waiting(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None


@dataclass(frozen=True)
class Session:
    """A connection and its caller. `key` selects the limits; None, root of the host, has none. On a
    unix socket `caller` is None when it cannot be identified, for the reason `unknown`. On a port
    in a pod's network namespace `caller` is always None: the pod is that of the namespace `netns`.
    """

    connection: Connection
    key: Hashable
    admission: Admission
    caller: Caller | None = None
    unknown: str = ""
    netns: int = 0
