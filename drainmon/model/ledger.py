"""The ledger: each pod's counters, corrected by snapshots."""

from collections import Counter
from collections.abc import Mapping

from drainmon.model.counts import Counts
from drainmon.model.snapshot import Snapshot
from drainmon.model.tcp import TcpState

_NOTHING = Counts()

Slots = Mapping[TcpState | None, int]
"""The number of connections in each state; None stands for those of probes."""


def _slots(counts: Counts) -> dict[TcpState | None, int]:
    slots: dict[TcpState | None, int] = {None: counts.probes}
    for state, number in counts.by_state.items():
        slots[state] = number
    return slots


Key = tuple[int, frozenset[int]]
"""A pod's number and its counted ports: other ports have other counters."""


class Ledger:
    """Counts of every pod, never negative, whatever the counters are."""

    def __init__(self) -> None:
        self._counted: dict[Key, Counts] = {}
        self._corrections: dict[Key, Slots] = {}
        self._suspected: dict[Key, Slots] = {}
        self._slack: dict[Key, int] = {}
        """The possible error of each state, as connections changed during all snapshots so far."""

    def update(self, pod: Key, counted: Counts) -> None:
        """Record the counters of a pod."""
        self._counted[pod] = counted

    def rebase(self, pod: Key, before: Counts, snapshot: Snapshot, after: Counts) -> int:
        """Correct the counters of a pod by a snapshot, and return the drift: the number of
        connections, over all states, by which they were wrong.

        `before` and `after` are the counters around the snapshot. Each change in between may
        explain a difference of one in a state; only the rest is corrected, and only when two
        snapshots agree on it, as the kernel counts a change an instant before it makes it.
        Connections older than the counters are no drift: the first snapshot sets the base, and so
        does a later one with fewer changes."""
        self.update(pod, after)
        changes = _between(before, after)
        if changes is None:
            return 0
        exact = Counter[TcpState | None](snapshot.tally.connections)
        exact[None] = snapshot.tally.probes
        first, last = _slots(before), _slots(after)
        base = {
            slot: exact[slot] - (first.get(slot, 0) + last.get(slot, 0)) // 2
            for slot in exact.keys() | first.keys() | last.keys()
        }
        known = self._corrections.get(pod)
        slack = self._slack.get(pod, 0)
        if known is None or changes < slack:
            self._corrections[pod], self._slack[pod] = base, changes
            self._suspected.pop(pod, None)
            return 0
        errors = {
            slot: _beyond(base.get(slot, 0) - known.get(slot, 0), slack + changes)
            for slot in base.keys() | known.keys()
        }
        suspected = self._suspected.pop(pod, {})
        sure = {slot: _agreed(error, suspected.get(slot, 0)) for slot, error in errors.items()}
        if errors != sure:
            self._suspected[pod] = {slot: error - sure[slot] for slot, error in errors.items()}
        self._corrections[pod] = {slot: known.get(slot, 0) + n for slot, n in sure.items()}
        return sum(map(abs, sure.values()))

    def knows(self, pod: Key) -> bool:
        """Whether a snapshot has shown the connections that are older than the counters."""
        return pod in self._corrections

    def unsure(self, pod: Key) -> bool:
        """Whether a snapshot with fewer changes would make the counts more exact."""
        return self._slack.get(pod, 0) > 0

    def suspects(self, pod: Key) -> bool:
        """Whether the last snapshot showed an error that another one must confirm."""
        return pod in self._suspected

    def counts(self, pod: Key) -> Counts:
        """The corrected counts of a pod; zero for an unknown pod."""
        counted = self._counted.get(pod, _NOTHING)
        correction = self._corrections.get(pod, {})
        slots = _slots(counted)
        if not any(correction.values()) and min(slots.values()) >= 0:
            return counted
        shown = {
            slot: max(0, slots.get(slot, 0) + correction.get(slot, 0))
            for slot in slots.keys() | correction.keys()
        }
        by_state = {slot: number for slot, number in shown.items() if slot is not None}
        return counted._replace(by_state=by_state, probes=shown[None])

    def keep_only(self, pods: set[Key]) -> None:
        """Forget all other pods."""
        for known in (self._counted, self._corrections, self._suspected, self._slack):
            for pod in known.keys() - pods:
                del known[pod]


def _between(before: Counts, after: Counts) -> int | None:
    """The number of changes between two readings; None when unknown."""
    if before.changes is not None and after.changes is not None:
        changes = after.changes - before.changes
        return changes if changes >= 0 else None  # negative: the counters were reset
    return 0 if before == after else None


def _beyond(error: int, changes: int) -> int:
    """The part of an error that this many changes do not explain."""
    return max(0, error - changes) + min(0, error + changes)


def _agreed(error: int, other: int) -> int:
    """The part of an error on which two snapshots agree."""
    if error > 0 < other:
        return min(error, other)
    return max(error, other) if error < 0 > other else 0
