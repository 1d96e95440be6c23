"""The ledger: after two quiet snapshots it says what they say; it is never negative."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from drainmon.model.ledger import Counts, Ledger, total
from drainmon.model.snapshot import Snapshot
from drainmon.model.tcp import IN_FLIGHT, TcpState
from tests.unit.sockets import TEMPLATE, in_state, snapshot

POD = 7
COUNTED = sorted(set(TcpState) - {TcpState.LISTEN, TcpState.CLOSE, TcpState.NEW_SYN_RECV})
states = st.sampled_from(COUNTED)
counters = st.dictionaries(states, st.integers(-50, 200)).map(lambda d: Counts(d, 1, 1.0))
exact = st.lists(states, max_size=40)


def rebase(ledger: Ledger, counted: Counts, taken: Snapshot) -> int:
    """Two quiet snapshots that agree."""
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
def test_changes_after_a_snapshot_add_up_and_never_go_below_zero(
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


def test_drift_is_counted_and_minisockets_are_not() -> None:
    ledger = Ledger()
    counted = Counts({TcpState.ESTABLISHED: 3})
    remains = TEMPLATE._replace(state=TcpState.FIN_WAIT2, minisocket=True)
    seen = snapshot(1.0, in_state(TcpState.ESTABLISHED), remains)
    assert rebase(ledger, counted, seen) == 2
    assert ledger.counts(POD).by_state[TcpState.ESTABLISHED] == 1
    ledger.keep_only({POD})
    assert ledger.counts(POD).by_state
    ledger.keep_only({POD + 1})
    assert ledger.counts(POD) == Counts({})


def test_a_pods_counts_are_the_sum_over_its_ports() -> None:
    parts = [Counts({TcpState.ESTABLISHED: 1}, 2, 5.0), Counts({TcpState.ESTABLISHED: 2}, 3)]
    assert total(parts) == Counts({TcpState.ESTABLISHED: 3}, 5, 5.0)
    assert total([]) == Counts()


def test_what_one_snapshot_alone_has_seen_corrects_nothing() -> None:
    """A change is counted an instant before it is made."""
    ledger = Ledger()
    counted = Counts({TcpState.ESTABLISHED: 3})
    right = snapshot(1.0, *[in_state(TcpState.ESTABLISHED)] * 3)
    for amid in (2, 4):
        early = snapshot(1.0, *[in_state(TcpState.ESTABLISHED)] * amid)
        assert ledger.rebase(POD, counted, early, counted) == 0
        assert ledger.suspects(POD)
        assert ledger.rebase(POD, counted, right, counted) == 0
        assert ledger.counts(POD) == counted
        assert not ledger.suspects(POD)
