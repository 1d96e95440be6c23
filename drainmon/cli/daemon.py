"""`drainmon daemon`: its flags, and what they tell the daemon."""

import argparse
import os
import sys
from collections.abc import Mapping
from typing import Any

from drainmon.cli import flags, logs
from drainmon.drain.duration import parse_duration
from drainmon.server import listen

SOURCES = ("auto", "core", "bcc", "procfs")
DEFAULT_LISTEN = "127.0.0.1:9935"
DEFAULT_NAME = "drainmon"
OFF = "off"
LONGEST_NAME = 107
"""Bytes of an abstract socket's name: sun_path of unix(7), its first zero left out."""

LEVELS = ("debug", "info", "warning", "error")


def add_parser(commands: Any, environment: Mapping[str, str]) -> None:
    parser = commands.add_parser(
        "daemon",
        help="run the node's daemon",
        description="Counts the connections of every nginx on this node and serves drains.",
    )
    flags.add_socket(parser, environment)
    flags.add_pod_logs(parser, environment)
    parser.add_argument(
        "--listen",
        type=_address,
        metavar="HOST:PORT",
        default=environment.get("DRAINMON_LISTEN", DEFAULT_LISTEN),
        help="where the web page and the metrics are served, to whoever reaches it; off: nowhere"
        f" (default {DEFAULT_LISTEN})",
    )
    parser.add_argument(
        "--in-pod-socket",
        type=_name,
        metavar="NAME",
        default=environment.get("DRAINMON_IN_POD_SOCKET", DEFAULT_NAME),
        help="abstract unix socket in the network namespace of each pod with nginx; off: none"
        f" (default {DEFAULT_NAME})",
    )
    parser.add_argument(
        "--in-pod-port",
        type=_port,
        metavar="PORT",
        default=environment.get("DRAINMON_IN_POD_PORT", OFF),
        help="TCP port there for preStop.httpGet, which the node alone may call (default off)",
    )
    parser.add_argument(
        "--source",
        choices=SOURCES,
        default=environment.get("DRAINMON_SOURCE", "auto"),
        help="where counts come from (default auto: the best that this host can run)",
    )
    flags.add_process(parser)
    parser.add_argument(
        "--probe-process",
        action="append",
        metavar="NAME",
        help="name of a process of the host whose connections are probes and hold no drain,"
        " repeatable (default kubelet, and what it is called in k3s, k0s, MicroK8s)",
    )
    parser.add_argument(
        "--ignore-peer",
        action="append",
        metavar="CIDR",
        help="address or network whose connections hold no drain, repeatable",
    )
    parser.add_argument(
        "--ignore-port",
        action="append",
        metavar="PORT",
        help="port of nginx whose connections do not count, repeatable",
    )
    parser.add_argument(
        "--reconcile-interval",
        type=_interval,
        metavar="TIME",
        default=environment.get("DRAINMON_RECONCILE_INTERVAL", "1s"),
        help="time between two pods' turns to have their counters compared with a snapshot"
        " (default 1s)",
    )
    parser.add_argument(
        "--take-over",
        action="store_true",
        default=flags.is_set(environment, "DRAINMON_TAKE_OVER"),
        help="take the socket's place from a daemon that listens there, once this one serves"
        " (default: leave it in peace and end)",
    )
    parser.add_argument(
        "--log-level",
        choices=LEVELS,
        default=environment.get("DRAINMON_LOG_LEVEL", "info"),
        help="log from this level on (default info)",
    )
    parser.add_argument(
        "--log-format",
        choices=logs.FORMATS,
        default=environment.get("DRAINMON_LOG_FORMAT") or logs.default_format(sys.stderr),
        help="one JSON object a line, or text (default: text on a terminal, else json)",
    )
    parser.set_defaults(run=lambda arguments: run(arguments, environment))


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


def _name(text: str) -> str | None:
    if text in ("", OFF):
        return None
    if len(os.fsencode(text)) > LONGEST_NAME or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(
            f"cannot listen on @{text}: a name has at most {LONGEST_NAME} bytes and no spaces"
        )
    return text


def _port(text: str) -> int | None:
    if text in ("", OFF):
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 1 << 16):
        raise argparse.ArgumentTypeError(f"cannot listen on port {text!r}: not from 1 to 65535")
    return int(text)


def run(arguments: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Until it is told to stop. Raises OSError when it cannot start."""
    # The daemon's libraries are imported for the daemon alone.
    import asyncio  # noqa: PLC0415

    from drainmon.cli import uncounted  # noqa: PLC0415
    from drainmon.daemon.main import Options, serve  # noqa: PLC0415
    from drainmon.server.in_pod_sockets import AbstractName, Port  # noqa: PLC0415

    if arguments.log_level not in LEVELS:
        raise OSError(f"cannot log from level {arguments.log_level!r}: not one of {LEVELS}")
    if arguments.log_format not in logs.FORMATS:
        raise OSError(f"cannot log as {arguments.log_format!r}: not one of {logs.FORMATS}")
    logs.set_up(arguments.log_level, arguments.log_format, sys.stderr, environment)
    try:
        probes, ignored = uncounted.read(arguments, environment)
    except ValueError as error:
        raise OSError(str(error)) from None
    if arguments.source not in SOURCES:
        raise OSError(f"cannot use source {arguments.source!r}: not one of {SOURCES}")
    options = Options(
        arguments.socket,
        pod_logs=arguments.pod_logs,
        processes=flags.process_names(arguments, environment),
        reconcile_interval=arguments.reconcile_interval,
        source=arguments.source,
        listen=arguments.listen,
        take_over=arguments.take_over,
        probe_processes=probes,
        ignored=ignored,
        in_pod_socket=AbstractName(arguments.in_pod_socket) if arguments.in_pod_socket else None,
        in_pod_port=Port(arguments.in_pod_port) if arguments.in_pod_port else None,
    )
    asyncio.run(serve(options))
    return 0
