"""The options of a drain in a query string: `timeout=25s&min-wait=5s&ignore-port=9113`."""

from collections.abc import Callable, Iterable
from typing import Any

from drainmon.drain.duration import parse_duration
from drainmon.drain.policy import Policy, fitted
from drainmon.model.ignored import Ignored


def _whole_number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 7:
        raise ValueError(f"{text!r} is not a number of connections (try 0)")
    return int(text)


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(f"{text!r} is neither yes nor no")
    return text == "yes"


_OPTIONS: dict[str, Callable[[str], Any]] = {
    "timeout": parse_duration,
    "min-wait": parse_duration,
    "quiet": parse_duration,
    "unreachable-after": parse_duration,
    "exit-at": _whole_number,
    "roll": _yes_or_no,
}


def parse_query(query: Iterable[tuple[str, str]]) -> Policy:
    """The policy in a query's names and values. A min-wait as long as the timeout is cut to half of
    it. Raises ValueError "cannot drain: why"."""
    options: dict[str, Any] = {}
    ignored: dict[str, list[str]] = {"ignore-peer": [], "ignore-port": []}
    for name, value in query:
        if name in ignored:
            ignored[name] += value.split(",")
        elif name not in _OPTIONS:
            known = ", ".join([*_OPTIONS, *ignored])
            raise ValueError(f"cannot drain: {name!r:.80} is not one of {known}")
        else:
            try:
                options[name.replace("-", "_")] = _OPTIONS[name](value)
            except ValueError as error:
                raise ValueError(f"cannot drain: {name}: {error}") from None
    addresses = Ignored.parse(ignored["ignore-peer"], ignored["ignore-port"])
    return fitted(Policy(**options, ignored=addresses))
