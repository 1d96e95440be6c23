"""Waiting for a condition, never for time."""

import time
from collections.abc import Callable

WAIT = 30.0
"""Seconds: on a link that is down, a retransmission may come 13 s after the first."""


def eventually(condition: Callable[[], object], within: float = WAIT) -> None:
    """Return as soon as the condition holds; fail with its last value."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"still {value!r} after {within} s"
        time.sleep(0.005)
