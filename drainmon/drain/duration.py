"""Durations as people write them: 25s, 1.5s, 500ms, 2m, or seconds without a unit."""

import re

_FORM = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ms|s|m|)")
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0}


def parse_duration(text: str) -> float:
    """The seconds in a duration. Raises ValueError for any other text."""
    match = _FORM.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a duration (try 25s, 500ms, 2m)")
    return float(match[1]) * _SECONDS[match[2]]
