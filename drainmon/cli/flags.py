"""Flags that several commands have. Every flag is also an environment variable: --socket is
DRAINMON_SOCKET; a repeatable one takes a comma-separated list."""

import argparse
from collections.abc import Mapping
from pathlib import Path

DEFAULT_SOCKET = "/run/drainmon/drainmon.sock"
DEFAULT_POD_LOGS = "/var/log/pods"

SERVICE_LINKS = ("tcp://", "udp://", "sctp://")
"""How Kubernetes tells of a Service: one named drainmon-ignore is DRAINMON_IGNORE_PORT."""


def without_service_links(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that somebody has set, without those that Kubernetes has for each Service."""
    return {
        name: value
        for name, value in environment.items()
        if not (name.startswith("DRAINMON_") and value.startswith(SERVICE_LINKS))
    }


def is_set(environment: Mapping[str, str], name: str) -> bool:
    """Whether a variable that stands for a flag without a value is true."""
    return environment.get(name, "").lower() in {"1", "true", "yes"}


def add_socket(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    parser.add_argument(
        "--socket",
        type=Path,
        metavar="PATH",
        default=Path(environment.get("DRAINMON_SOCKET", DEFAULT_SOCKET)),
        help=f"the daemon's unix socket (default {DEFAULT_SOCKET})",
    )


def add_pod_logs(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    parser.add_argument(
        "--pod-logs",
        type=Path,
        metavar="PATH",
        default=Path(environment.get("DRAINMON_POD_LOGS", DEFAULT_POD_LOGS)),
        help=f"the folder that names the node's pods (default {DEFAULT_POD_LOGS})",
    )


def add_process(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--process",
        action="append",
        metavar="NAME",
        help="process name of nginx, repeatable (default nginx)",
    )


def process_names(arguments: argparse.Namespace, environment: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(arguments.process or environment.get("DRAINMON_PROCESS", "nginx").split(","))


def add_json(parser: argparse.ArgumentParser, environment: Mapping[str, str], what: str) -> None:
    """`what` is printed then."""
    parser.add_argument(
        "--json",
        action="store_true",
        default=is_set(environment, "DRAINMON_JSON"),
        help=f"print {what}",
    )
