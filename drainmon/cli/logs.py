"""The daemon's log: one event per line, with fields; JSON for machines, text for a terminal."""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any, TextIO

from drainmon.cli import sentences
from drainmon.cli.colour import DIM, RED, YELLOW, painted, wants_colour

FORMATS = ("json", "text")

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_OWN = __package__.partition(".")[0]

LIBRARY = "library message"
"""The event under which messages of libraries are logged."""

_COLOURS = {"debug": DIM, "warning": YELLOW, "error": RED, "critical": RED}


def set_up(level: str, style: str, stream: TextIO, environment: Mapping[str, str]) -> None:
    """Log to `stream` from `level` on. `style` is one of FORMATS."""
    text = TextFormatter(wants_colour(environment, stream))
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if style == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler])


def default_format(stream: TextIO) -> str:
    """Text on a terminal, else JSON."""
    return "text" if stream.isatty() else "json"


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The event's name under `event`, then the fields of `extra`, an exception's traceback last."""
    if record.name.partition(".")[0] == _OWN:
        fields: dict[str, Any] = {"event": record.getMessage()}
    else:
        fields = {"event": LIBRARY, "said": record.getMessage()}
    fields |= {k: v for k, v in record.__dict__.items() if k not in _STANDARD}
    if record.exc_info:
        fields["exception"] = logging.Formatter().formatException(record.exc_info)
    return fields


class JsonFormatter(logging.Formatter):
    """Formats one JSON object: time (UTC), level, event, from (the module), the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields = fields_of(record)
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": fields.pop("event"),
            "from": record.name,
        }
        return json.dumps(line | fields, default=str)


class TextFormatter(logging.Formatter):
    """Formats local date and time, level, event, field=value; the end of a drain in words; a
    traceback on lines of its own."""

    def __init__(self, colour: bool = False) -> None:
        super().__init__()
        self._colours = _COLOURS if colour else {}

    def format(self, record: logging.LogRecord) -> str:
        fields = fields_of(record)
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        level = record.levelname.lower()
        shown = f"{level:8}"
        if level in self._colours:
            shown = painted(shown, self._colours[level])
        head = f"{clock}.{int(record.msecs):03d} {shown}{fields.pop('event')}"
        traceback = fields.pop("exception", None)
        drain = fields.pop("drain", None)
        words = [_one_line(sentences.ended(drain))] if drain else []
        parts = [head, *words, *(f"{name}={_shown(value)}" for name, value in fields.items())]
        return "  ".join(parts) + (f"\n{traceback}" if traceback else "")


def _one_line(text: str) -> str:
    """The text without control characters: a pod's names must neither end the line nor control the
    terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _shown(value: Any) -> str:
    """The value as plain text where that is unambiguous, else as JSON: a pod's names must not end
    the line."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if not isinstance(value, str) or (text.isascii() and text.isprintable() and " " not in text):
        return text
    return json.dumps(text)
