"""The metrics of each pod, as text.

There may be some thousand samples. prometheus_client takes 9 us for each and cannot be interrupted;
here a sample takes a tenth of that, and other tasks run after every few pods.
"""

from collections.abc import Iterable, Mapping

from drainmon.model.counts import Counts, total
from drainmon.model.tcp import TcpState
from drainmon.pods.pod import Pod
from drainmon.turns import in_turns

Labels = tuple[str, str]
"""`Pod.names`."""

CONNECTIONS = """\
# HELP drainmon_connections Accepted connections by TCP state.
# TYPE drainmon_connections gauge
"""
IN_FLIGHT = """\
# HELP drainmon_in_flight Connections in flight, unused and unreachable ones included.
# TYPE drainmon_in_flight gauge
"""
ACCEPTED = """\
# HELP drainmon_accepted_total Connections accepted since the pod was found.
# TYPE drainmon_accepted_total counter
"""


def by_labels(
    live: Iterable[tuple[Pod, Counts]], departed: Iterable[tuple[Pod, Counts]]
) -> tuple[dict[Labels, Counts], dict[Labels, Counts]]:
    """The counts of living and of departed pods, by labels. Living pods with the same labels are
    added up. Of departed pods the last one counts, unless a living one has its labels: its counters
    start at zero, as Prometheus expects of a series."""
    living: dict[Labels, Counts] = {}
    for pod, counts in live:
        known = living.get(labels := pod.names)
        living[labels] = total((known, counts)) if known else counts
    gone = {pod.names: counts for pod, counts in departed}
    return living, {labels: last for labels, last in gone.items() if labels not in living}


class PodFamilies:
    """Renders scrape after scrape. A state in which a pod was seen stays, with zero, as long as the
    pod lives: a series that vanishes looks like a failure."""

    def __init__(self) -> None:
        self._series: dict[Labels, _Series] = {}

    async def text(self, living: Mapping[Labels, Counts], gone: Mapping[Labels, Counts]) -> str:
        """All samples. Departed pods have the number of accepted connections only."""
        known: dict[Labels, _Series] = {}
        connections, in_flight, accepted = [CONNECTIONS], [IN_FLIGHT], [ACCEPTED]
        async for some in in_turns(living.items()):
            for labels, counts in some:
                series = known[labels] = self._series.get(labels) or _Series(labels)
                series.update(counts)
                connections += series.connections
                in_flight.append(series.in_flight)
                accepted.append(series.accepted)
        for labels, last in gone.items():
            series = _Series(labels)
            series.update(last)
            accepted.append(series.accepted)
        self._series = known
        return "".join(connections + in_flight + accepted)


class _Series:
    """The samples of one pod, made again only after a change."""

    def __init__(self, labels: Labels) -> None:
        namespace, name = map(_escaped, labels)
        self._labels = f'namespace="{namespace}",pod="{name}"'
        self._begins = {TcpState.ESTABLISHED: self._begin(TcpState.ESTABLISHED)}
        self._by_state: Mapping[TcpState, int] | None = None
        self._accepted = -1
        self.connections: list[str] = []
        self.in_flight = self.accepted = ""

    def _begin(self, state: TcpState) -> str:
        return f'drainmon_connections{{{self._labels},state="{state.name}"}} '

    def update(self, counts: Counts) -> None:
        by_state = counts.by_state
        if by_state != self._by_state:
            self._by_state = by_state
            for state in by_state:
                if state not in self._begins:
                    self._begins[state] = self._begin(state)
            self.connections = [
                f"{begin}{by_state.get(state, 0)}\n" for state, begin in self._begins.items()
            ]
            self.in_flight = f"drainmon_in_flight{{{self._labels}}} {counts.in_flight}\n"
        if counts.accepted != self._accepted:
            self._accepted = counts.accepted
            self.accepted = f"drainmon_accepted_total{{{self._labels}}} {counts.accepted}\n"


def _escaped(value: str) -> str:
    """A label's value, escaped for the text format."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
