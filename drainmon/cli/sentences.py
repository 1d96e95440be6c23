"""Drains in words: how a drain ended, and which connections remained. Pure."""

from collections.abc import Mapping
from typing import Any

REMAINING_NAMED = 3
"""Connections that remained and are named in the line about a drain."""


def ended(drain: Mapping[str, Any]) -> str:
    """One line on an ended drain: pod, result, seconds, arrivals, remaining connections."""
    said = f"{drain['pod']}: {drain['result']} after {drain['seconds']:.1f} s"
    if drain.get("reason"):
        said += f" ({drain['reason']})"
    said += f", {drain.get('arrivals', 0)} arrivals"
    if drain.get("last_arrival") is not None:
        said += f", the last after {drain['last_arrival']:.1f} s"
    if drain.get("roll"):
        said += f", roll {drain['roll']}"
    if drain.get("uncounted"):
        said += f", not counted: {', '.join(drain['uncounted'])}"
    left = describe_remaining(drain, REMAINING_NAMED)
    return f"{said}, left: {left}" if left else said


def describe_remaining(drain: Mapping[str, Any], named: int) -> str:
    """The first connections that were in flight at the end, and how many more; empty for none."""
    remaining = drain.get("remaining") or []
    parts = [describe_connection(one) for one in remaining[:named]]
    if more := drain.get("in_flight", 0) - len(parts):
        parts.append(f"and {more} more" if parts else f"{more} in flight")
    return "; ".join(parts)


def describe_connection(connection: Mapping[str, Any]) -> str:
    """One connection, as drainmon-wait names it."""
    said = f"{connection['remote']} {connection['state']}"
    for time, label in (("age", "open"), ("idle", "idle")):
        if connection.get(time) is not None:
            said += f", {label} {connection[time]:.1f} s"
    return f"{said}, {connection.get('unsent', 0)} B unsent"
