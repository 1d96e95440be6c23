"""Colours and a status line that updates itself, on a terminal only."""

import os
import sys
import threading


class Terminal:
    """Standard output; plain lines without colours when it is not a terminal."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._coloured = self._live and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()

    def line(self, text: str = "") -> None:
        """Print a line that stays."""
        with self._lock:
            self._erase()
            print(text, flush=True)

    def update(self, text: str) -> None:
        """Replace the status line; does nothing where lines cannot be replaced."""
        if self._live:
            with self._lock:
                self._erase()
                print(text, end="", flush=True)

    def clear(self) -> None:
        """Erase the status line."""
        with self._lock:
            self._erase()

    def good(self, text: str) -> str:
        return self._paint(text, "32")

    def bad(self, text: str) -> str:
        return self._paint(text, "31")

    def strong(self, text: str) -> str:
        return self._paint(text, "1")

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._coloured else text

    def _erase(self) -> None:
        if self._live:
            print("\r\x1b[2K", end="", flush=True)
