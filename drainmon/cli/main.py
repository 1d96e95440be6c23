"""The command `drainmon`. Every flag is also an environment variable: --socket is
DRAINMON_SOCKET; a repeatable one takes a comma-separated list."""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from drainmon import __version__
from drainmon.cli import install, logs, uncounted, views
from drainmon.cli.duration import parse_duration
from drainmon.server import listen

DEFAULT_SOCKET = "/run/drainmon/drainmon.sock"
SOURCES = ("auto", "core", "bcc", "procfs")
DEFAULT_LISTEN = "127.0.0.1:9935"
DEFAULT_POD_LOGS = "/var/log/pods"
INTERRUPTED = 130
LEVELS = ("debug", "info", "warning", "error")


def make_parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="drainmon",
        description="Drains nginx pods with nothing lost: counts their connections in the kernel"
        " and holds the preStop hook until none is left.",
        epilog="Every flag is also an environment variable: --socket is DRAINMON_SOCKET.",
    )
    parser.add_argument("--version", action="version", version=f"drainmon {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--socket",
        type=Path,
        metavar="PATH",
        default=Path(environment.get("DRAINMON_SOCKET", DEFAULT_SOCKET)),
        help=f"the daemon's unix socket (default {DEFAULT_SOCKET})",
    )
    names = argparse.ArgumentParser(add_help=False)
    names.add_argument(
        "--pod-logs",
        type=Path,
        metavar="PATH",
        default=Path(environment.get("DRAINMON_POD_LOGS", DEFAULT_POD_LOGS)),
        help=f"the folder that names the node's pods (default {DEFAULT_POD_LOGS})",
    )
    daemon = commands.add_parser(
        "daemon",
        parents=[common, names],
        help="run the node's daemon",
        description="Counts the connections of every nginx on this node and serves drains.",
    )
    daemon.add_argument(
        "--listen",
        type=_address,
        metavar="HOST:PORT",
        default=environment.get("DRAINMON_LISTEN", DEFAULT_LISTEN),
        help="where the web page and the metrics are served, to whoever reaches it; off: nowhere"
        f" (default {DEFAULT_LISTEN})",
    )
    daemon.add_argument(
        "--source",
        choices=SOURCES,
        default=environment.get("DRAINMON_SOURCE", "auto"),
        help="where counts come from (default auto: the best that this host can run)",
    )
    daemon.add_argument(
        "--process",
        action="append",
        metavar="NAME",
        help="process name of nginx, repeatable (default nginx)",
    )
    daemon.add_argument(
        "--probe-process",
        action="append",
        metavar="NAME",
        help="name of a process of the host whose connections are probes and hold no drain,"
        " repeatable (default kubelet; source core only)",
    )
    daemon.add_argument(
        "--ignore-peer",
        action="append",
        metavar="CIDR",
        help="address or network whose connections hold no drain, repeatable",
    )
    daemon.add_argument(
        "--ignore-port",
        action="append",
        metavar="PORT",
        help="port of nginx whose connections do not count, repeatable",
    )
    daemon.add_argument(
        "--reconcile-interval",
        type=_interval,
        metavar="TIME",
        default=environment.get("DRAINMON_RECONCILE_INTERVAL", "1s"),
        help="time between two pods' turns to have their counters compared with a snapshot"
        " (default 1s)",
    )
    daemon.add_argument(
        "--take-over",
        action="store_true",
        default=views.is_set(environment, "DRAINMON_TAKE_OVER"),
        help="take the socket's place from a daemon that listens there, once this one serves"
        " (default: leave it in peace and end)",
    )
    daemon.add_argument(
        "--log-level",
        choices=LEVELS,
        default=environment.get("DRAINMON_LOG_LEVEL", "info"),
        help="log from this level on (default info)",
    )
    daemon.add_argument(
        "--log-format",
        choices=logs.FORMATS,
        default=environment.get("DRAINMON_LOG_FORMAT") or logs.default_format(sys.stderr),
        help="one JSON object a line, or text (default: text on a terminal, else json)",
    )
    views.add_parsers(commands, common, environment)
    check = commands.add_parser(
        "check",
        parents=[common, names],
        help="show what this host has of what drainmon needs",
        description="Shows, for each source, what it needs, what this host has of it, and what to"
        " do about what is missing. Changes nothing. Exit codes: 0 usable, 1 degraded (a lesser"
        " source, or the host keeps something from it), 2 unusable.",
    )
    check.add_argument(
        "--json",
        action="store_true",
        default=views.is_set(environment, "DRAINMON_JSON"),
        help="print one JSON object",
    )
    install.add_parser(commands, common, environment)
    advise = commands.add_parser(
        "advise",
        parents=[common],
        help="say what the hooks' options should be",
        description="Says what --min-wait, --timeout and terminationGracePeriodSeconds should be,"
        " by the drains that the node's daemon remembers. Exit codes: 0 all is told, 1 nothing"
        " could be read, 3 too few drains to tell.",
    )
    advise.add_argument(
        "--file",
        metavar="PATH",
        default=environment.get("DRAINMON_FILE"),
        help="read these drains, - for standard input: records of GET /v1/drains, the daemon's log,"
        " or Prometheus's text, of however many nodes",
    )
    advise.add_argument(
        "--json",
        action="store_true",
        default=views.is_set(environment, "DRAINMON_JSON"),
        help="print one JSON object",
    )
    return parser


def _interval(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not seconds:
        raise argparse.ArgumentTypeError("it cannot be zero")
    return seconds


def _address(text: str) -> listen.Address | None:
    try:
        return listen.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _run_daemon(arguments: argparse.Namespace, environment: Mapping[str, str]) -> None:
    # The daemon's libraries are imported for the daemon alone.
    from drainmon.daemon.main import Options, serve  # noqa: PLC0415

    if arguments.log_level not in LEVELS:
        raise OSError(f"cannot log from level {arguments.log_level!r}: not one of {LEVELS}")
    if arguments.log_format not in logs.FORMATS:
        raise OSError(f"cannot log as {arguments.log_format!r}: not one of {logs.FORMATS}")
    logs.set_up(arguments.log_level, arguments.log_format, sys.stderr)
    names = arguments.process or environment.get("DRAINMON_PROCESS", "nginx").split(",")
    try:
        probes, ignored = uncounted.read(arguments, environment)
    except ValueError as error:
        raise OSError(str(error)) from None
    if arguments.source not in SOURCES:
        raise OSError(f"cannot use source {arguments.source!r}: not one of {SOURCES}")
    options = Options(
        arguments.socket,
        pod_logs=arguments.pod_logs,
        processes=tuple(names),
        reconcile_interval=arguments.reconcile_interval,
        source=arguments.source,
        listen=arguments.listen,
        take_over=arguments.take_over,
        probe_processes=probes,
        ignored=ignored,
    )
    asyncio.run(serve(options))


def _run_check(arguments: argparse.Namespace, environment: Mapping[str, str]) -> int:
    # It knows libbpf, which the other commands do without.
    from drainmon.cli.check import check  # noqa: PLC0415

    return check(environment, arguments.socket, arguments.pod_logs, arguments.json)


def _run_advise(arguments: argparse.Namespace) -> int:
    # It knows how to read much that the other commands do not.
    from drainmon.cli import advise  # noqa: PLC0415

    return advise.run(arguments.socket, arguments.file, arguments.json)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 "cannot X: why" on standard error, 2 usage; `check`, `status` and
    `advise` have more."""
    parser = make_parser(os.environ)
    arguments = parser.parse_args(argv)
    try:
        return _run(arguments, parser)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        sys.stderr.write(f"drainmon: {error.strerror or error}\n")
        return 1
    except BaseExceptionGroup as group:
        failures, others = group.split(OSError)
        if others or failures is None:
            raise
        for failure in _leaves(failures):
            sys.stderr.write(f"drainmon: {failure.strerror or failure}\n")
        return 1


def _run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    match arguments.command:
        case "daemon":
            _run_daemon(arguments, os.environ)
            return 0
        case "check":
            return _run_check(arguments, os.environ)
        case "install-client":
            return install.run(arguments)
        case "advise":
            return _run_advise(arguments)
        case _:
            return views.run(arguments, parser)


def _leaves(group: BaseExceptionGroup[OSError]) -> list[OSError]:
    flat: list[OSError] = []
    for error in group.exceptions:
        flat += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return flat


if __name__ == "__main__":
    sys.exit(main())
