"""`drainmon daemon`: its flags, and the daemon's options made from them."""

import argparse
import os
import sys
from typing import Any

from drainmon import AUTO, SOURCES
from drainmon.cli import flags, logs
from drainmon.drain.duration import parse_duration
from drainmon.model.ignored import Ignored, parse_peer, parse_port
from drainmon.procfs.net_sockets import SUN_PATH
from drainmon.procfs.process import COMM
from drainmon.server import listen

DEFAULT_LISTEN = listen.Address("127.0.0.1", 9935)
DEFAULT_NAME = "drainmon"
OFF = "off"
LONGEST_NAME = SUN_PATH - 1
"""Bytes of an abstract socket's name, without the zero before it."""

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
        help="serve the web page and metrics at this address, without authentication; off: do not"
        f" serve them (default {DEFAULT_LISTEN})",
    )
    parser.add_flag(
        "--in-pod-socket",
        _read_name,
        DEFAULT_NAME,
        metavar="NAME",
        help="listen on this abstract unix socket in the network namespace of each pod with nginx;"
        f" off: do not listen there (default {DEFAULT_NAME})",
    )
    parser.add_flag(
        "--in-pod-port",
        _read_port,
        metavar="PORT",
        help="listen on this TCP port in the network namespace of each pod with nginx, for"
        " preStop.httpGet; only the node may connect (default off)",
    )
    parser.add_flag(
        "--source",
        default=AUTO,
        choices=(AUTO, *SOURCES),
        help="how connections are counted (default auto: the best source that works on this host)",
    )
    flags.add_process(parser)
    parser.add_list(
        "--probe-process",
        _read_process_name,
        default=None,
        metavar="NAME",
        help="name of a host process whose connections are probes, which no drain waits for;"
        " repeatable (default kubelet, and its names in k3s, k0s and MicroK8s)",
    )
    parser.add_list(
        "--ignore-peer",
        parse_peer,
        metavar="CIDR",
        help="address or network whose connections no drain waits for; repeatable",
    )
    parser.add_list(
        "--ignore-port",
        parse_port,
        metavar="PORT",
        help="port of nginx whose connections are not counted; repeatable",
    )
    parser.add_flag(
        "--reconcile-interval",
        _read_interval,
        1.0,
        metavar="TIME",
        help="compare the counters of one pod with a snapshot this often (default 1s)",
    )
    parser.add_switch(
        "--take-over",
        help="replace a running daemon's socket as soon as this daemon serves (default: fail when"
        " another daemon listens there)",
    )
    parser.add_flag(
        "--log-level", default="info", choices=LEVELS, help="lowest level to log (default info)"
    )
    parser.add_flag(
        "--log-format",
        default=logs.default_format(sys.stderr),
        choices=logs.FORMATS,
        help="one JSON object per line, or text (default: text on a terminal, else json)",
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
    """Run the daemon until a signal stops it. Raises OSError when it cannot start."""
    # The other commands do without the daemon's libraries.
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
