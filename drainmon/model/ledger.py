"""What is known of each pod between snapshots: the kernel's counters, corrected by snapshots."""

from collections import Counter
from collections.abc import Mapping

from drainmon.model.counts import Counts
from drainmon.model.snapshot import Snapshot
from drainmon.model.tcp import TcpState

_NOTHING = Counts()

Slots = Mapping[TcpState | None, int]
"""How many connections are in each state; None stands for those of probes."""


def _slots(counts: Counts) -> dict[TcpState | None, int]:
    slots: dict[TcpState | None, int] = {None: counts.probes}
    for state, number in counts.by_state.items():
        slots[state] = number
    return slots


Key = tuple[int, frozenset[int]]
"""The number of a pod, and the ports that are counted: with others it has other counters."""


class Ledger:
    """Counts of every pod. Never negative, whatever the counters say."""

    def __init__(self) -> None:
        self._counted: dict[Key, Counts] = {}
        self._corrections: dict[Key, Slots] = {}
        self._suspected: dict[Key, Slots] = {}
        self._slack: dict[Key, int] = {}
        """By how many connections a state may be wrong, as the first snapshots were not of a quiet
        moment."""

    def update(self, pod: Key, counted: Counts) -> None:
        """Take over the counters of a pod."""
        self._counted[pod] = counted

    def rebase(self, pod: Key, before: Counts, snapshot: Snapshot, after: Counts) -> int:
        """Correct the counters of a pod by a snapshot, and return the drift: by how many
        connections, over all states, they were wrong.

        `before` and `after` are the counters around the snapshot. By so many changes as came in
        between a state may differ: only what they do not explain is corrected. And that only at the
        second sight, as the kernel counts a change an instant before it makes it. What was there
        before the counters is no drift: the first snapshot is believed as it is, and so is a later
        one of a quieter moment.
        """
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
        """Whether what was there before the counters has been found."""
        return pod in self._corrections

    def unsure(self, pod: Key) -> bool:
        """Whether a snapshot of a quieter moment would make the counts more exact."""
        return self._slack.get(pod, 0) > 0

    def suspects(self, pod: Key) -> bool:
        """Whether the last snapshot showed an error that another one must confirm."""
        return pod in self._suspected

    def counts(self, pod: Key) -> Counts:
        """The corrected counts of a pod; zero for one that is not known."""
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
        """Forget every other pod: they are gone."""
        for known in (self._counted, self._corrections, self._suspected, self._slack):
            for pod in known.keys() - pods:
                del known[pod]


def _between(before: Counts, after: Counts) -> int | None:
    """How many changes came between two readings; None when nobody knows."""
    if before.changes is not None and after.changes is not None:
        changes = after.changes - before.changes
        return changes if changes >= 0 else None  # they have begun anew
    return 0 if before == after else None


def _beyond(error: int, changes: int) -> int:
    """What of an error so many changes do not explain."""
    return max(0, error - changes) + min(0, error + changes)


def _agreed(error: int, other: int) -> int:
    """What two sights of an error have in common."""
    if error > 0 < other:
        return min(error, other)
    return max(error, other) if error < 0 > other else 0
