"""Waiting for a condition, never for time."""

import time
from collections.abc import Callable

WAIT = 10.0


def eventually(condition: Callable[[], object], within: float = WAIT) -> None:
    """Return as soon as the condition holds; fail with what it says last."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"still {value!r} after {within} s"
        time.sleep(0.005)
