"""The ledger equals the snapshots after two quiet ones, and is never negative."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from drainmon.model.counts import Counts, total
from drainmon.model.ledger import Ledger
from drainmon.model.snapshot import Snapshot
from drainmon.model.tcp import IN_FLIGHT, TcpState
from tests.unit.sockets import TEMPLATE, in_state, snapshot

POD = 7, frozenset({80})
COUNTED = sorted(set(TcpState) - {TcpState.LISTEN, TcpState.CLOSE, TcpState.NEW_SYN_RECV})
states = st.sampled_from(COUNTED)
counters = st.dictionaries(states, st.integers(-50, 200)).map(lambda d: Counts(d, 1, 1.0))
exact = st.lists(states, max_size=40)


def begun() -> Ledger:
    """A ledger with an empty snapshot and empty counters."""
    ledger = Ledger()
    ledger.rebase(POD, Counts(), snapshot(0.0), Counts())
    return ledger


def rebase(ledger: Ledger, counted: Counts, taken: Snapshot) -> int:
    """Rebase on two quiet snapshots that agree."""
    return sum(ledger.rebase(POD, counted, taken, counted) for _ in range(2))


@given(st.lists(st.tuples(counters, exact)), counters, exact)
def test_after_two_quiet_snapshots_the_ledger_is_exact(
    earlier: list[tuple[Counts, list[TcpState]]], counted: Counts, sockets: list[TcpState]
) -> None:
    ledger = Ledger()
    for before, seen in earlier:
        ledger.rebase(POD, before, snapshot(1.0, *map(in_state, seen)), before)
    rebase(ledger, counted, snapshot(2.0, *map(in_state, sockets)))
    shown = ledger.counts(POD)
    assert {s: n for s, n in shown.by_state.items() if n} == Counter(sockets)
    assert shown.in_flight == sum(state in IN_FLIGHT for state in sockets)
    assert ledger.rebase(POD, counted, snapshot(3.0, *map(in_state, sockets)), counted) == 0


@given(counters, exact, st.lists(st.tuples(states, st.sampled_from([-1, 1]))))
def test_changes_after_a_snapshot_add_up_and_stay_positive(
    counted: Counts, sockets: list[TcpState], changes: list[tuple[TcpState, int]]
) -> None:
    ledger = Ledger()
    rebase(ledger, counted, snapshot(1.0, *map(in_state, sockets)))
    by_state, expected = Counter(counted.by_state), Counter(sockets)
    for state, change in changes:
        by_state[state] += change
        expected[state] += change
        ledger.update(POD, Counts(dict(by_state)))
        shown = ledger.counts(POD).by_state
        assert all(shown.get(s, 0) == max(0, expected[s]) for s in COUNTED)


@given(counters, counters, exact)
def test_a_snapshot_amid_changes_corrects_nothing(
    before: Counts, after: Counts, sockets: list[TcpState]
) -> None:
    ledger = Ledger()
    drift = ledger.rebase(POD, before, snapshot(1.0, *map(in_state, sockets)), after)
    if before != after:
        assert drift == 0
        assert all(n >= 0 for n in ledger.counts(POD).by_state.values())


def test_drift_is_counted_without_minisockets() -> None:
    ledger = begun()
    counted = Counts({TcpState.ESTABLISHED: 3})
    remains = TEMPLATE._replace(state=TcpState.FIN_WAIT2, minisocket=True)
    seen = snapshot(1.0, in_state(TcpState.ESTABLISHED), remains)
    assert rebase(ledger, counted, seen) == 2
    assert ledger.counts(POD).by_state[TcpState.ESTABLISHED] == 1
    ledger.keep_only({POD})
    assert ledger.counts(POD).by_state
    ledger.keep_only({(8, POD[1])})
    assert ledger.counts(POD) == Counts({})


def test_a_pods_counts_are_the_sum_over_its_ports() -> None:
    parts = [Counts({TcpState.ESTABLISHED: 1}, 2, 5.0), Counts({TcpState.ESTABLISHED: 2}, 3)]
    assert total(parts) == Counts({TcpState.ESTABLISHED: 3}, 5, 5.0)
    assert total([]) == Counts()


def test_a_single_deviating_snapshot_corrects_nothing() -> None:
    """A change is counted an instant before it is made."""
    ledger = begun()
    counted = Counts({TcpState.ESTABLISHED: 3})
    right = snapshot(1.0, *[in_state(TcpState.ESTABLISHED)] * 3)
    for amid in (2, 4):
        early = snapshot(1.0, *[in_state(TcpState.ESTABLISHED)] * amid)
        assert ledger.rebase(POD, counted, early, counted) == 0
        assert ledger.suspects(POD)
        assert ledger.rebase(POD, counted, right, counted) == 0
        assert ledger.counts(POD) == counted
        assert not ledger.suspects(POD)


def test_connections_older_than_the_counters_are_not_drift() -> None:
    ledger = Ledger()
    counted = Counts({TcpState.ESTABLISHED: -1, TcpState.CLOSE_WAIT: 1}, changes=1)
    there = [in_state(TcpState.ESTABLISHED)] * 3 + [in_state(TcpState.CLOSE_WAIT)]
    assert ledger.rebase(POD, counted, snapshot(1.0, *there), counted) == 0
    assert ledger.counts(POD).by_state == {TcpState.ESTABLISHED: 3, TcpState.CLOSE_WAIT: 1}
    more = POD[0], POD[1] | {443}
    assert (ledger.knows(POD), ledger.knows(more)) == (True, False)
    ledger.update(more, counted)
    assert ledger.counts(more).by_state == {TcpState.ESTABLISHED: 0, TcpState.CLOSE_WAIT: 1}


def test_a_busy_pod_is_corrected_beyond_its_possible_changes() -> None:
    """500 connections were there before the port was counted, and the pod is never quiet."""
    ledger = Ledger()
    there = snapshot(1.0, *[in_state(TcpState.ESTABLISHED)] * 510)
    before, after = Counts({TcpState.ESTABLISHED: 4}, changes=100), Counts({}, changes=130)
    ledger.rebase(POD, before, there, after)
    assert ledger.counts(POD).in_flight == 508
    assert ledger.unsure(POD)
    quieter = Counts({TcpState.ESTABLISHED: 10}, changes=140)
    quiet = [in_state(TcpState.ESTABLISHED)] * 513
    assert ledger.rebase(POD, quieter, snapshot(1.5, *quiet), quieter) == 0
    assert (ledger.counts(POD).in_flight, ledger.unsure(POD)) == (513, False)
    less = snapshot(2.0, *[in_state(TcpState.ESTABLISHED)] * 400)
    counts = [Counts({TcpState.ESTABLISHED: 2}, changes=n) for n in (200, 230, 260)]
    assert ledger.counts(POD).in_flight - 10 == 503
    assert ledger.rebase(POD, counts[0], less, counts[1]) == 0
    assert ledger.suspects(POD)
    assert ledger.rebase(POD, counts[1], less, counts[2]) == 75
    assert ledger.counts(POD).in_flight == 430
    assert ledger.rebase(POD, counts[1], less, counts[2]) == 0


@given(
    st.integers(-50, 50),
    st.lists(st.tuples(st.integers(0, 20), st.integers(-20, 20)), min_size=2, max_size=10),
)
def test_a_correction_is_off_by_at_most_the_concurrent_changes(
    true: int, looks: list[tuple[int, int]]
) -> None:
    """The error of a correction is at most the number of concurrent changes."""
    ledger = begun()
    changed = 0
    for changes, drawn in looks:
        changed += changes
        shift = max(-changes, min(changes, drawn))
        before = Counts({TcpState.ESTABLISHED: 100}, changes=changed - changes)
        after = Counts({TcpState.ESTABLISHED: 100}, changes=changed)
        sockets = [in_state(TcpState.ESTABLISHED)] * (100 + true + shift)
        for _ in range(2):
            ledger.rebase(POD, before, snapshot(1.0, *sockets), after)
    correction = ledger.counts(POD).in_flight - 100
    assert abs(correction - true) <= changes + abs(shift)
