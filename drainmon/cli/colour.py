"""Colours for lines written without rich, which the daemon never imports."""

from collections.abc import Mapping
from typing import TextIO

DIM, RED, GREEN, YELLOW, CYAN = 2, 31, 32, 33, 36

_WITHOUT = {"dumb", "unknown"}
"""Values of TERM for terminals without colours, the same as in rich."""


def wants_colour(environment: Mapping[str, str], stream: TextIO) -> bool:
    """Whether `stream` is a terminal with colours, and NO_COLOR is not set (no-color.org)."""
    able = stream.isatty() and environment.get("TERM", "").lower() not in _WITHOUT
    return able and not environment.get("NO_COLOR")


def painted(text: str, colour: int) -> str:
    return f"\033[{colour}m{text}\033[0m"
