"""Reads the ring buffer `events` of the programs."""

import ctypes
from collections.abc import Callable

from drainmon.kernel import libbpf
from drainmon.kernel.wire import PortKey

EventHandler = Callable[[int, int], None]
"""Called with the netns inode and local port of a watched port, or LISTENERS."""


class EventReader:
    """Passes its records to `on_event`. Raises OSError "cannot open the ring buffer: why"."""

    def __init__(self, lib: ctypes.CDLL, map_fd: int, on_event: EventHandler) -> None:
        self._lib = lib

        def on_sample(_context: int, data: int, _size: int) -> int:
            key = PortKey.from_address(data)
            on_event(key.netns, key.port)
            return 0

        self._callback = libbpf.SAMPLE_CALLBACK(on_sample)  # libbpf keeps only the address
        self._ring = libbpf.must_pointer(
            lib.ring_buffer__new(map_fd, self._callback, None, None), "open the ring buffer"
        )
        self.fd: int = lib.ring_buffer__epoll_fd(self._ring)

    def consume(self) -> None:
        """Pass on every waiting event."""
        libbpf.must(self._lib.ring_buffer__consume(self._ring), "read the ring buffer")

    def close(self) -> None:
        self._lib.ring_buffer__free(self._ring)
