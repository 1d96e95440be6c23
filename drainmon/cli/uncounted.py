"""Whose connections hold no drain, on the command line: probing processes, peers, ports."""

import argparse
import os
from collections.abc import Mapping

from drainmon.model.ignored import Ignored
from drainmon.sources.base import PROBE_PROCESSES

DEFAULT_PROBE_PROCESSES = ",".join(PROBE_PROCESSES)
LONGEST_NAME = 15
"""Bytes of a process's name that the kernel keeps (TASK_COMM_LEN)."""


def read(
    arguments: argparse.Namespace, environment: Mapping[str, str]
) -> tuple[tuple[str, ...], Ignored]:
    """The names of probing processes, and what every drain ignores. Raises ValueError
    "cannot X: why"."""
    probes = _list(
        arguments.probe_process,
        environment.get("DRAINMON_PROBE_PROCESS", DEFAULT_PROBE_PROCESSES),
    )
    for name in probes:
        if len(os.fsencode(name)) > LONGEST_NAME:
            raise ValueError(
                f"cannot look for processes named {name!r}: the kernel keeps {LONGEST_NAME} bytes"
                f" of a name (try {os.fsdecode(os.fsencode(name)[:LONGEST_NAME])!r})"
            )
    peers = _list(arguments.ignore_peer, environment.get("DRAINMON_IGNORE_PEER", ""))
    ports = _list(arguments.ignore_port, environment.get("DRAINMON_IGNORE_PORT", ""))
    return probes, Ignored.parse(peers, ports)


def _list(given: list[str] | None, variable: str) -> tuple[str, ...]:
    return tuple(part for text in given or [variable] for part in text.split(",") if part)
