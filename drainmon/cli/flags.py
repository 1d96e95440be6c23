"""Flags, each of which is also an environment variable: --socket is DRAINMON_SOCKET."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

DEFAULT_SOCKET = Path("/run/drainmon/drainmon.sock")
DEFAULT_POD_LOGS = Path("/var/log/pods")

SERVICE_LINKS = ("tcp://", "udp://", "sctp://")
"""Values that Kubernetes sets for a Service: one named drainmon-ignore is DRAINMON_IGNORE_PORT."""

_ON, _OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")

Read = Callable[[str], Any]
"""Converts a text to a value. Raises ValueError with what is allowed."""


class Command(argparse.ArgumentParser):
    """The parser of a command. A flag that is not given is read from its variable, by the same
    rules; a wrong value is a usage error that names the flag or the variable. An empty variable
    counts as not set, since manifests pass on empty values."""

    def __init__(self, *, environment: Mapping[str, str], **settings: Any) -> None:
        super().__init__(**settings)
        self._environment = environment
        self._flags: dict[str, _Flag] = {}

    def add_flag(self, name: str, read: Read = str, default: Any = None, **settings: Any) -> None:
        """Add a flag with a value; `default` is the value when the flag is not given."""
        action = self._add(name, type=_explained(read), **settings)
        self._flags[_variable(name)] = _Flag(action, read, default, default)

    def add_list(self, name: str, read: Read = str, default: Any = (), **settings: Any) -> None:
        """Add a repeatable flag, whose values may also be separated by commas. An empty variable
        is an empty list."""

        def read_all(text: str) -> list[Any]:
            return [read(part) for part in map(str.strip, text.split(",")) if part]

        action = self._add(name, type=_explained(read_all), action="extend", **settings)
        self._flags[_variable(name)] = _Flag(action, read_all, default, ())

    def add_switch(self, name: str, **settings: Any) -> None:
        """Add a flag without a value."""
        action = self._add(name, action="store_true", **settings)
        self._flags[_variable(name)] = _Flag(action, _read_switch, False, False)

    def _add(self, name: str, **settings: Any) -> argparse.Action:
        return self.add_argument(name, default=argparse.SUPPRESS, **settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse flags, then variables of flags that are not given. Reports unknown flags here:
        argparse would do so with the usage of `drainmon`."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        for variable, flag in self._flags.items():
            if not hasattr(parsed, flag.action.dest):
                setattr(parsed, flag.action.dest, self._read(variable, flag))
        return parsed, unknown

    def _read(self, variable: str, flag: "_Flag") -> Any:
        """The value of the variable; ends as for a wrong flag when it cannot be read."""
        text = self._environment.get(variable)
        if text is None or text.startswith(SERVICE_LINKS):
            return flag.default
        if not text:
            return flag.empty
        try:
            value = flag.read(text)
            if flag.action.choices is not None and value not in flag.action.choices:
                raise ValueError(f"{text!r} is not one of {', '.join(flag.action.choices)}")
        except ValueError as error:
            self.error(f"environment variable {variable}: {error}")
        return value


class _Flag(NamedTuple):
    """A flag: `default` is its value when its variable is not set, `empty` when it is empty."""

    action: argparse.Action
    read: Read
    default: Any
    empty: Any


def _variable(name: str) -> str:
    return "DRAINMON_" + name.removeprefix("--").replace("-", "_").upper()


def _explained(read: Read) -> Read:
    """`read` with errors that argparse shows: it hides the text of a ValueError."""

    def read_or_explain(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read_or_explain


def _read_switch(text: str) -> bool:
    if text.lower() not in _ON + _OFF:
        raise ValueError(f"{text!r} is not one of {', '.join(_ON + _OFF)}")
    return text.lower() in _ON


def add_socket(parser: Command) -> None:
    parser.add_flag(
        "--socket",
        Path,
        DEFAULT_SOCKET,
        metavar="PATH",
        help=f"the daemon's unix socket (default {DEFAULT_SOCKET})",
    )


def add_pod_logs(parser: Command) -> None:
    parser.add_flag(
        "--pod-logs",
        Path,
        DEFAULT_POD_LOGS,
        metavar="PATH",
        help=f"folder of the kubelet's pod logs, which names the pods (default {DEFAULT_POD_LOGS})",
    )


def add_process(parser: Command) -> None:
    parser.add_list(
        "--process", metavar="NAME", help="process name of nginx; repeatable (default nginx)"
    )


def process_names(arguments: argparse.Namespace) -> tuple[str, ...]:
    return tuple(arguments.process) or ("nginx",)


def add_json(parser: Command, what: str) -> None:
    """`what` is the form of the output."""
    parser.add_switch("--json", help=f"print {what}")
