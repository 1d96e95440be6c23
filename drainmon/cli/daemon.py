"""`drainmon daemon`: its flags, and what they tell the daemon."""

import argparse
import os
import sys
from typing import Any

from drainmon.cli import flags, logs
from drainmon.drain.duration import parse_duration
from drainmon.model.ignored import Ignored, parse_peer, parse_port
from drainmon.procfs.process import COMM
from drainmon.server import listen

AUTO = "auto"
SOURCES = (AUTO, "core", "bcc", "procfs")
DEFAULT_LISTEN = listen.Address("127.0.0.1", 9935)
DEFAULT_NAME = "drainmon"
OFF = "off"
LONGEST_NAME = 107
"""Bytes of an abstract socket's name: sun_path of unix(7), its first zero left out."""

LEVELS = ("debug", "info", "warning", "error")


def add_parser(commands: Any) -> None:
    parser: flags.Command = commands.add_parser(
        "daemon",
        help="run the node's daemon",
        description="Counts the connections of every nginx on this node and serves drains.",
    )
    flags.add_socket(parser)
    flags.add_pod_logs(parser)
    parser.add_flag(
        "--listen",
        listen.parse,
        DEFAULT_LISTEN,
        metavar="HOST:PORT",
        help="where the web page and the metrics are served, to whoever reaches it; off: nowhere"
        f" (default {DEFAULT_LISTEN})",
    )
    parser.add_flag(
        "--in-pod-socket",
        _read_name,
        DEFAULT_NAME,
        metavar="NAME",
        help="abstract unix socket in the network namespace of each pod with nginx; off: none"
        f" (default {DEFAULT_NAME})",
    )
    parser.add_flag(
        "--in-pod-port",
        _read_port,
        metavar="PORT",
        help="TCP port there for preStop.httpGet, which the node alone may call (default off)",
    )
    parser.add_flag(
        "--source",
        default=AUTO,
        choices=SOURCES,
        help="where counts come from (default auto: the best that this host can run)",
    )
    flags.add_process(parser)
    parser.add_list(
        "--probe-process",
        _read_process_name,
        default=None,
        metavar="NAME",
        help="name of a process of the host whose connections are probes and hold no drain,"
        " repeatable (default kubelet, and what it is called in k3s, k0s, MicroK8s)",
    )
    parser.add_list(
        "--ignore-peer",
        parse_peer,
        metavar="CIDR",
        help="address or network whose connections hold no drain, repeatable",
    )
    parser.add_list(
        "--ignore-port",
        parse_port,
        metavar="PORT",
        help="port of nginx whose connections do not count, repeatable",
    )
    parser.add_flag(
        "--reconcile-interval",
        _read_interval,
        1.0,
        metavar="TIME",
        help="time between two pods' turns to have their counters compared with a snapshot"
        " (default 1s)",
    )
    parser.add_switch(
        "--take-over",
        help="take the socket's place from a daemon that listens there, once this one serves"
        " (default: leave it in peace and end)",
    )
    parser.add_flag(
        "--log-level", default="info", choices=LEVELS, help="log from this level on (default info)"
    )
    parser.add_flag(
        "--log-format",
        default=logs.default_format(sys.stderr),
        choices=logs.FORMATS,
        help="one JSON object a line, or text (default: text on a terminal, else json)",
    )
    parser.set_defaults(run=run)


def _read_interval(text: str) -> float:
    seconds = parse_duration(text)
    if not seconds:
        raise ValueError("it cannot be zero")
    return seconds


def _read_name(text: str) -> str | None:
    if text in ("", OFF):
        return None
    if text.startswith("@"):
        raise ValueError(
            f"cannot listen on {text}: the name has no @ here (try {text[1:] or DEFAULT_NAME})"
        )
    if len(os.fsencode(text)) > LONGEST_NAME or not text.isprintable() or " " in text:
        raise ValueError(
            f"cannot listen on @{text}: a name has at most {LONGEST_NAME} bytes and no spaces"
        )
    return text


def _read_port(text: str) -> int | None:
    if text in ("", OFF):
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 1 << 16):
        raise ValueError(f"cannot listen on port {text!r}: neither from 1 to 65535 nor off")
    return int(text)


def _read_process_name(text: str) -> str:
    if len(os.fsencode(text)) > COMM:
        raise ValueError(
            f"cannot look for processes named {text!r}: the kernel keeps {COMM} bytes"
            f" of a name (try {os.fsdecode(os.fsencode(text)[:COMM])!r})"
        )
    return text


def run(arguments: argparse.Namespace) -> int:
    """Until it is told to stop. Raises OSError when it cannot start."""
    # The daemon's libraries are imported for the daemon alone.
    import asyncio  # noqa: PLC0415

    from drainmon.daemon.main import Options, serve  # noqa: PLC0415
    from drainmon.server.in_pod_sockets import AbstractName, Port  # noqa: PLC0415
    from drainmon.sources.base import PROBE_PROCESSES  # noqa: PLC0415

    probes = arguments.probe_process
    logs.set_up(arguments.log_level, arguments.log_format, sys.stderr, os.environ)
    options = Options(
        arguments.socket,
        pod_logs=arguments.pod_logs,
        processes=flags.process_names(arguments),
        reconcile_interval=arguments.reconcile_interval,
        source=arguments.source,
        listen=arguments.listen,
        take_over=arguments.take_over,
        probe_processes=PROBE_PROCESSES if probes is None else tuple(probes),
        ignored=Ignored(frozenset(arguments.ignore_peer), frozenset(arguments.ignore_port)),
        in_pod_socket=AbstractName(arguments.in_pod_socket) if arguments.in_pod_socket else None,
        in_pod_port=Port(arguments.in_pod_port) if arguments.in_pod_port else None,
    )
    asyncio.run(serve(options))
    return 0
