"""Tables of pods and connections. Pure.

Text from a pod goes into cells as plain text: a name is never markup, and no control character
reaches the terminal.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from drainmon.cli.fitted import Fitted, cut, table

Answer = Mapping[str, Any]
"""A JSON object in an answer of the daemon."""

ARRIVALS, ARRIVALS_PER_SECOND = "ARRIVALS", "ARRIVALS/S"

_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
PORTS_SHORT = 3
"""A narrow terminal does not show more ports than this."""

_STAGES = {"SYN_RECV": "opening", "ESTABLISHED": "open"}
"""States in one word; all others are closing."""


def plain(value: object, style: str = "") -> Text:
    """One cell."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return Text(text, style)


def name_of(pod: Answer) -> str:
    """A pod's name on a screen: 12 digits of a container ID, as docker and podman show it; nginx's
    master where only the namespace is known."""
    label, masters = str(pod["pod"]), pod.get("masters") or ()
    if _CONTAINER_ID.fullmatch(label):
        return label[:12]
    return f"nginx {masters[0]}" if masters and label == f"netns-{pod.get('netns')}" else label


def states(by_state: Mapping[str, int]) -> str:
    """`ESTABLISHED 2, FIN_WAIT1 1`, or a dash."""
    return ", ".join(f"{state} {count}" for state, count in by_state.items()) or "-"


def stages(by_state: Mapping[str, int]) -> str:
    """`2 open, 1 closing`, or a dash."""
    counts: dict[str, int] = {}
    for state, count in by_state.items():
        stage = _STAGES.get(state, "closing")
        counts[stage] = counts.get(stage, 0) + count
    return ", ".join(f"{count} {stage}" for stage, count in counts.items()) or "-"


def ways(pod: Answer, short: bool = False) -> str:
    """The pod's ways in: `folder, @drainmon, port 9936`; short `folder @ :9936`."""
    known = pod.get("ways_in", ())
    if not short:
        return ", ".join(known) or "-"
    return (
        " ".join(way[:1] if way[:1] == "@" else way.replace("port ", ":") for way in known) or "-"
    )


def arrivals(pod: Answer) -> int:
    """Connections that the pod has accepted, without those of probes; daemons of 0.1 count both."""
    return int(pod["accepted"]) - int(pod.get("probes_accepted", 0))


def pods_table(pods: Iterable[Answer], rates: Mapping[str, float] | None = None) -> Fitted:
    """One row per pod, with a column for `rates` (arrivals per second by pod), else for ways in. A
    narrow terminal shows words for states, then no states, then no ways in."""
    pods = list(pods)
    names = [name_of(pod) for pod in pods]
    has_ways = rates is None and any(pod.get("ways_in") for pod in pods)

    def make(longest: int, short: bool, with_states: bool, with_ways: bool) -> Table:
        columns = ["POD", "PORTS", "IN FLIGHT"]
        columns += [ARRIVALS_PER_SECOND] if rates is not None else []
        columns += [ARRIVALS]
        columns += ["STATES"] if with_states else []
        columns += ["WAYS IN"] if with_ways else []
        made = table(*columns, right=("IN FLIGHT", ARRIVALS_PER_SECOND, ARRIVALS))
        for pod, name in zip(pods, names, strict=True):
            cells = [
                plain(cut(name, longest)),
                plain(_ports(pod["ports"], short)),
                plain(pod["in_flight"], "bold" if pod["in_flight"] else ""),
            ]
            if rates is not None:
                cells.append(plain(f"{rates.get(pod['pod'], 0.0):.1f}"))
            cells.append(plain(arrivals(pod)))
            if with_states:
                cells.append(plain((stages if short else states)(pod["by_state"])))
            if with_ways:
                cells.append(plain(ways(pod, short)))
            made.add_row(*cells)
        return made

    return Fitted(
        [
            lambda longest: make(longest, False, True, has_ways),
            lambda longest: make(longest, True, True, has_ways),
            lambda longest: make(longest, True, False, has_ways),
            lambda longest: make(longest, True, False, False),
        ],
        max(map(len, names), default=0),
    )


def _ports(ports: list[int], short: bool) -> str:
    shown = ports[:2] if short and len(ports) > PORTS_SHORT else ports
    more = f",+{len(ports) - len(shown)}" if len(shown) < len(ports) else ""
    return (",".join(map(str, shown)) or "-") + more


def connections_table(connections: Iterable[Answer]) -> Fitted:
    """One row per connection; times in seconds, a dash for unknown values. A narrow terminal shows
    no local address, then no bytes received."""
    connections = list(connections)

    def make(longest: int, with_local: bool, with_received: bool) -> Table:
        columns = ["REMOTE", *["LOCAL"][:with_local], "STATE", "AGE", "IDLE"]
        columns += [*["RECEIVED"][:with_received], "UNSENT", "STANDING"]
        made = table(*columns, right=("AGE", "IDLE", "RECEIVED", "UNSENT"))
        for one in connections:
            received = one["bytes_received"]
            cells = [plain(cut(one["remote"], longest)), *[plain(one["local"])][:with_local]]
            cells += [
                plain(one["state"]),
                plain(_seconds(one["age"])),
                plain(_seconds(one["idle"])),
            ]
            cells += [plain("-" if received is None else received)][:with_received]
            cells.append(plain(one["unsent"], "bold" if one["unsent"] else ""))
            cells.append(plain(one["standing"], "" if one["in_flight"] else "dim"))
            made.add_row(*cells)
        return made

    return Fitted(
        [
            lambda longest: make(longest, True, True),
            lambda longest: make(longest, False, True),
            lambda longest: make(longest, False, False),
        ],
        max((len(one["remote"]) for one in connections), default=0),
    )


def _seconds(time: float | None) -> str:
    return "-" if time is None else f"{time:.1f}"
