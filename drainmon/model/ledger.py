"""What is known of each pod between snapshots: the kernel's counters, corrected by snapshots."""

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from drainmon.model.snapshot import Snapshot
from drainmon.model.tcp import IN_FLIGHT, TcpState

_EMPTY: Mapping[TcpState, int] = MappingProxyType({})


class Counts(NamedTuple):
    """Accepted connections by state, those accepted ever, and when the last one was (monotonic
    seconds): from a source that saw none, since when it would have. None when nobody knows.

    Probes are neither in `by_state` nor the last one. `probes` are those that are open now,
    `probes_accepted` is how many of `accepted` they were, `arrivals` how many were neither probes'
    nor ignored: whose one is shows a moment after it was accepted. `cut` are connections in use
    that ended with the process that held them, None where the source cannot tell.
    """

    by_state: Mapping[TcpState, int] = _EMPTY
    accepted: int = 0
    last_accept: float | None = None
    probes: int = 0
    probes_accepted: int = 0
    arrivals: int = 0
    cut: int | None = None

    @property
    def in_flight(self) -> int:
        """Connections in a state that may lose something, unused and unreachable ones included."""
        return sum(count for state, count in self.by_state.items() if state in IN_FLIGHT)


_NOTHING = Counts()


def total(parts: Iterable[Counts]) -> Counts:
    """The sum over a pod's ports."""
    by_state: dict[TcpState, int] = {}
    accepted = probes = probes_accepted = arrivals = 0
    last: float | None = None
    cut: int | None = None
    for part in parts:
        for state, count in part.by_state.items():
            by_state[state] = by_state.get(state, 0) + count
        accepted += part.accepted
        probes += part.probes
        probes_accepted += part.probes_accepted
        arrivals += part.arrivals
        if part.cut is not None:
            cut = part.cut + (cut or 0)
        if part.last_accept is not None:
            last = part.last_accept if last is None else max(last, part.last_accept)
    return Counts(by_state, accepted, last, probes, probes_accepted, arrivals, cut)


class Ledger:
    """Counts of every pod, by pod number. Never negative, whatever the counters say."""

    def __init__(self) -> None:
        self._counted: dict[int, Counts] = {}
        self._corrections: dict[int, Mapping[TcpState, int]] = {}
        self._suspected: dict[int, Mapping[TcpState, int]] = {}

    def update(self, pod: int, counted: Counts) -> None:
        """Take over the counters of a pod."""
        self._counted[pod] = counted

    def rebase(self, pod: int, before: Counts, snapshot: Snapshot, after: Counts) -> int:
        """Correct the counters of a pod by a snapshot, and return the drift: by how many
        connections, over all states, they were wrong.

        `before` and `after` are the counters around the snapshot; when they differ, connections
        have come and gone meanwhile and nothing is corrected. Nor is it at the first sight of an
        error: the kernel counts a change an instant before it makes it.
        """
        self.update(pod, after)
        if before != after:
            return 0
        shown = self.counts(pod).by_state
        exact = Counter(snapshot.tally.connections)
        correction = {
            state: exact[state] - after.by_state.get(state, 0)
            for state in TcpState
            if exact[state] != after.by_state.get(state, 0)
        }
        if correction not in (self._corrections.get(pod, _EMPTY), self._suspected.get(pod)):
            self._suspected[pod] = correction
            return 0
        self._suspected.pop(pod, None)
        self._corrections[pod] = correction
        return sum(abs(exact[state] - shown.get(state, 0)) for state in TcpState)

    def suspects(self, pod: int) -> bool:
        """Whether the last snapshot showed an error that another one must confirm."""
        return pod in self._suspected

    def counts(self, pod: int) -> Counts:
        """The corrected counts of a pod; zero for one that is not known."""
        counted = self._counted.get(pod, _NOTHING)
        correction = self._corrections.get(pod, _EMPTY)
        if not correction and min(counted.by_state.values(), default=0) >= 0:
            return counted
        by_state = {
            state: max(0, counted.by_state.get(state, 0) + correction.get(state, 0))
            for state in counted.by_state.keys() | correction.keys()
        }
        return counted._replace(by_state=by_state)

    def keep_only(self, pods: set[int]) -> None:
        """Forget every other pod: they are gone."""
        for known in (self._counted, self._corrections, self._suspected):
            for pod in known.keys() - pods:
                del known[pod]
