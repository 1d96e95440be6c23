"""The metrics of each pod, as text.

There may be some thousand samples. prometheus_client takes 9 us for each and cannot be interrupted;
here one takes a tenth of that, and every few pods whoever else has something to do gets its turn.
"""

import asyncio
from collections.abc import Iterable, Mapping

from drainmon.model.ledger import Counts, total
from drainmon.model.tcp import TcpState
from drainmon.pods.pod import Pod

AT_ONCE = 20
"""Pods rendered without a pause: a fraction of a millisecond."""

Labels = tuple[str, str]
"""A pod's namespace and name; the namespace is empty where no Kubernetes gave it one."""

CONNECTIONS = """\
# HELP drainmon_connections Accepted connections by TCP state.
# TYPE drainmon_connections gauge
"""
IN_FLIGHT = """\
# HELP drainmon_in_flight Connections whose peer may still miss something, never-used ones included.
# TYPE drainmon_in_flight gauge
"""
ACCEPTED = """\
# HELP drainmon_accepted_total Connections accepted since the source began to look.
# TYPE drainmon_accepted_total counter
"""


def labels_of(pod: Pod) -> Labels:
    """What a pod is called in every sample of it."""
    return pod.identity.namespace, pod.identity.name or pod.label


def by_labels(
    live: Iterable[tuple[Pod, Counts]], departed: Iterable[tuple[Pod, Counts]]
) -> tuple[dict[Labels, Counts], dict[Labels, Counts]]:
    """The counts of living and of departed pods, one for each pair of labels. Living pods of the
    same labels are added up. Of departed ones the last counts, unless there is a living one: then
    its counters begin anew, as Prometheus expects of a series."""
    living: dict[Labels, Counts] = {}
    for pod, counts in live:
        labels = labels_of(pod)
        known = living.get(labels)
        living[labels] = total((known, counts)) if known else counts
    gone = {labels_of(pod): counts for pod, counts in departed}
    return living, {labels: last for labels, last in gone.items() if labels not in living}


class PodFamilies:
    """Renders scrape after scrape. A state that a pod was seen in stays, with zero, as long as the
    pod is: a series that vanishes looks like one that failed."""

    def __init__(self) -> None:
        self._series: dict[Labels, _Series] = {}

    async def text(self, living: Mapping[Labels, Counts], gone: Mapping[Labels, Counts]) -> str:
        """All samples. Pods that are gone have no connections, only what they once accepted."""
        known: dict[Labels, _Series] = {}
        connections, in_flight, accepted = [CONNECTIONS], [IN_FLIGHT], [ACCEPTED]
        for number, (labels, counts) in enumerate(living.items()):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            series = known[labels] = self._series.get(labels) or _Series(labels)
            connections += series.connections(counts)
            in_flight.append(f"{series.in_flight}{counts.in_flight}\n")
            accepted.append(f"{series.accepted}{counts.accepted}\n")
        accepted += [
            f"{_Series(labels).accepted}{last.accepted}\n" for labels, last in gone.items()
        ]
        self._series = known
        return "".join(connections + in_flight + accepted)


class _Series:
    """What the samples of one pod begin with, up to the value."""

    def __init__(self, labels: Labels) -> None:
        namespace, name = map(_escaped, labels)
        self._labels = f'namespace="{namespace}",pod="{name}"'
        self.in_flight = f"drainmon_in_flight{{{self._labels}}} "
        self.accepted = f"drainmon_accepted_total{{{self._labels}}} "
        self._states = {TcpState.ESTABLISHED: self._state(TcpState.ESTABLISHED)}

    def _state(self, state: TcpState) -> str:
        return f'drainmon_connections{{{self._labels},state="{state.name}"}} '

    def connections(self, counts: Counts) -> list[str]:
        by_state = counts.by_state
        for state in by_state:
            if state not in self._states:
                self._states[state] = self._state(state)
        return [f"{begin}{by_state.get(state, 0)}\n" for state, begin in self._states.items()]


def _escaped(value: str) -> str:
    """As the text format wants a label's value."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
