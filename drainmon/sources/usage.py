"""Closes what a source holds open after its last user."""

import threading
from collections.abc import Callable


class Usage:
    """A context manager for the body of each thread that uses a source's descriptors: a thread
    continues when the call that awaits it is cancelled. After `close` it raises OSError "cannot
    count: the source is closed".

    `release` closes the descriptors. It is called once: by `close` when there is no user, else by
    the last user in its own thread.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self._lock = threading.Lock()
        self._users = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._lock:
            if self._closed:
                raise OSError("cannot count: the source is closed")
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            last = self._closed and not self._users
        if last:
            self._release()

    def close(self) -> None:
        """Admit no more users."""
        with self._lock:
            last = not self._closed and not self._users
            self._closed = True
        if last:
            self._release()
