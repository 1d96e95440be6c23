"""Waiting for a condition, never for time."""

import time
from collections.abc import Callable

WAIT = 30.0
"""Seconds: a segment that is sent again and again on a link that is down comes 13 s after it."""


def eventually(condition: Callable[[], object], within: float = WAIT) -> None:
    """Return as soon as the condition holds; fail with what it says last."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"still {value!r} after {within} s"
        time.sleep(0.005)
