"""Colours where lines are written without rich, which the daemon never imports."""

from collections.abc import Mapping
from typing import TextIO

DIM, RED, GREEN, YELLOW, CYAN = 2, 31, 32, 33, 36

_WITHOUT = {"dumb", "unknown"}
"""What TERM says of terminals that know no colours, as rich has it."""


def wants_colour(environment: Mapping[str, str], stream: TextIO) -> bool:
    """On a terminal that knows colours, unless NO_COLOR is set (no-color.org)."""
    able = stream.isatty() and environment.get("TERM", "").lower() not in _WITHOUT
    return able and not environment.get("NO_COLOR")


def painted(text: str, colour: int) -> str:
    return f"\033[{colour}m{text}\033[0m"
