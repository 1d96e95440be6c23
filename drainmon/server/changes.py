"""Things by name, and when each last changed: what to send to a follower."""

from collections.abc import Mapping
from typing import Any

from drainmon.server.replies import dumps

REMEMBERED = 60
"""Turns for which removals are known; a follower further behind is sent everything."""


class Changes:
    """The JSON of each thing with the turn in which it last changed. Turns count from 1."""

    def __init__(self) -> None:
        self.turn = 0
        self._things: dict[str, tuple[int, str]] = {}
        self._gone: dict[str, int] = {}

    def update(self, things: Mapping[str, Any]) -> None:
        """Begin a new turn with the present things. The text of unchanged ones is kept."""
        self.turn += 1
        for name in self._things.keys() - things.keys():
            del self._things[name]
            self._gone[name] = self.turn
        for name, thing in things.items():
            text = dumps(thing)
            if name not in self._things or self._things[name][1] != text:
                self._things[name] = (self.turn, text)
            self._gone.pop(name, None)
        self._gone = {
            name: turn for name, turn in self._gone.items() if turn > self.turn - REMEMBERED
        }

    def knows(self, since: int) -> bool:
        """Whether the changes since that turn are known."""
        return 0 < since <= self.turn and since >= self.turn - REMEMBERED

    def changed(self, since: int) -> str:
        """A JSON object of the things that have changed after turn `since`; 0 for everything."""
        parts = (
            f"{dumps(name)}:{text}" for name, (turn, text) in self._things.items() if turn > since
        )
        return "{" + ",".join(parts) + "}"

    def gone(self, since: int) -> str:
        """A JSON array of the names removed after turn `since`."""
        return dumps([name for name, turn in self._gone.items() if turn > since])
