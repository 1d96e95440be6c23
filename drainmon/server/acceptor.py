"""Accepts connections of many listen sockets, in at most half of the daemon's time.

Each pod has a queue of its own in its network namespace, and all share that of the socket file. A
caller that fills a queue delays others, but each gets its turn.
"""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

ACCEPT_SECONDS = 0.002
"""Time for new connections in a row. Then everything else in the daemon, threads included, gets as
much, however many connections wait."""

SHORTAGE_REST = 0.2
"""Seconds until the next try when the node is short of files or memory."""

_NOBODY_WAITS = frozenset({errno.EAGAIN, errno.EINTR, errno.ECONNABORTED})

Take = Callable[[socket.socket, float], None]
"""Takes over a new connection; the time is time.monotonic(). When files or memory are short, closes
the connection and raises OSError."""


class Acceptor:
    """Made inside a running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._taking: dict[socket.socket, Take] = {}
        self._resting: dict[socket.socket, asyncio.TimerHandle] = {}
        self._earned = 0.0
        """When everything else will have had as much time as new connections."""

    def listen(self, listener: socket.socket, take: Take) -> None:
        """Pass each new connection to `take`, until `stop`."""
        listener.setblocking(False)
        self._taking[listener] = take
        self._loop.add_reader(listener, self._accept, listener)

    def stop(self, listener: socket.socket) -> None:
        """Stop accepting on this socket, without closing it."""
        del self._taking[listener]
        if resting := self._resting.pop(listener, None):
            resting.cancel()
        else:
            self._loop.remove_reader(listener)

    def _accept(self, listener: socket.socket) -> None:
        take = self._taking[listener]
        # Listeners whose queues were not empty the last time share one listener's time.
        began = time.monotonic()
        until = began + ACCEPT_SECONDS / (1 + len(self._resting))
        while (now := time.monotonic()) < until:
            try:
                connection, _ = listener.accept()
            except OSError as error:
                if error.errno not in _NOBODY_WAITS:
                    self._rest_because(listener, error)
                return
            try:
                take(connection, now)
            except OSError as error:
                self._rest_because(listener, error)
                return
        self._earned = max(self._earned, began) + 2 * (now - began)
        self._rest(listener, self._earned - now)

    def _rest_because(self, listener: socket.socket, error: OSError) -> None:
        log.warning("cannot accept", extra={"error": error.strerror or str(error)})
        self._rest(listener, SHORTAGE_REST)

    def _rest(self, listener: socket.socket, seconds: float) -> None:
        self._loop.remove_reader(listener)
        self._resting[listener] = self._loop.call_later(seconds, self._go_on, listener)

    def _go_on(self, listener: socket.socket) -> None:
        del self._resting[listener]
        self._loop.add_reader(listener, self._accept, listener)
