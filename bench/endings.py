"""Signals that end a bench by way of every cleanup."""

import signal
import sys
from types import FrameType
from typing import NoReturn


def clean_up_when_told() -> None:
    """From now on SIGTERM and SIGHUP raise SystemExit; Ctrl-C raises KeyboardInterrupt anyway."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _exit)


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
