"""The counting rule of bpf/account.h, compiled for the host: in any order of events, the counters
equal the sockets' own states; after lost events or a late start, one snapshot corrects them."""

import ctypes
import itertools
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.kernel.wire import CountedAs
from drainmon.model.counts import Counts
from drainmon.model.ledger import Ledger
from drainmon.model.snapshot import Snapshot
from drainmon.model.tcp import TcpState
from tests.property.host_library import load
from tests.unit.sockets import in_state, snapshot

S = TcpState
CHAINS = [
    [S.LISTEN, S.SYN_RECV, S.ESTABLISHED, S.CLOSE_WAIT, S.LAST_ACK, S.CLOSE],
    [S.LISTEN, S.SYN_RECV, S.ESTABLISHED, S.FIN_WAIT1, S.FIN_WAIT2, S.CLOSE],
    [S.LISTEN, S.SYN_RECV, S.ESTABLISHED, S.FIN_WAIT1, S.CLOSING, S.CLOSE],
    [S.LISTEN, S.SYN_RECV, S.ESTABLISHED, S.CLOSE],
    [S.LISTEN, S.SYN_RECV, S.ESTABLISHED, S.FIN_WAIT1, S.CLOSE],
    [S.LISTEN, S.SYN_RECV, S.FIN_WAIT1, S.FIN_WAIT2, S.CLOSE],
    [S.LISTEN, S.SYN_RECV, S.CLOSE],
]
LISTENER = [S.CLOSE, S.LISTEN, S.CLOSE]
THERE = {S.SYN_RECV, S.ESTABLISHED, S.FIN_WAIT1, S.FIN_WAIT2, S.CLOSE_WAIT, S.LAST_ACK, S.CLOSING}
POD = 1, frozenset({80})

HARNESS = """
#include "account.h"
struct change account_(int oldstate, int newstate, int probe)
{ return account(oldstate, newstate, probe); }
"""


class Change(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint8) for name in ("down", "up", "accepted", "arrived", "probed", "cut")
    )


@pytest.fixture(scope="module")
def rule(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    loaded = load(tmp_path_factory.mktemp("account"), HARNESS)
    loaded.account_.restype = Change
    return loaded


@dataclass
class Kernel:
    """A port's counters as the tracepoint's program keeps them, with the rule under test, and the
    sockets' real states."""

    rule: ctypes.CDLL
    slots: Counter[int] = field(default_factory=Counter)
    accepted = arrived = probed = changes = 0
    states: dict[int, TcpState] = field(default_factory=dict)
    known_probes: set[int] = field(default_factory=set)

    def event(self, sock: int, old: TcpState, new: TcpState, counted: bool = True) -> None:
        self.states[sock] = new
        if not counted:
            return
        if old is S.SYN_RECV and is_probe(sock):
            self.known_probes.add(sock)
        change = self.rule.account_(old, new, sock in self.known_probes)
        self.changes += 1
        self.accepted += change.accepted
        self.arrived += change.arrived
        self.probed += change.probed
        if change.down:
            self.slots[change.down] -= 1
        if change.up:
            self.slots[change.up] += 1

    def counts(self) -> Counts:
        by_state = {S(slot): n for slot, n in self.slots.items() if slot != CountedAs.PROBE}
        return Counts(by_state, probes=self.slots[CountedAs.PROBE], changes=self.changes)

    def exact(self) -> Counter[int]:
        """The expected counters, to the extent that the kernel can know."""
        return Counter(
            CountedAs.PROBE if sock in self.known_probes and state != S.SYN_RECV else state
            for sock, state in self.states.items()
            if state in THERE
        )


def is_probe(sock: int) -> bool:
    return sock % 3 == 0


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, TcpState, TcpState, bool]]:
    """Interleaved events of sockets, each (socket, old, new, delivered); some stay open."""
    events: list[list[tuple[int, TcpState, TcpState, bool]]] = []
    for sock in range(draw(st.integers(1, 8))):
        chain = draw(st.sampled_from([*CHAINS, LISTENER]))
        length = draw(st.integers(1, len(chain) - 1))
        steps = list(itertools.pairwise(chain))[:length]
        events.append([(sock, old, new, draw(st.integers(0, 9)) > 0) for old, new in steps])
    mixed = []
    while any(events):
        source = draw(st.sampled_from([queue for queue in events if queue]))
        mixed.append(source.pop(0))
    return mixed


History = list[tuple[int, TcpState, TcpState, bool]]


@given(histories())
def test_counters_equal_the_sockets_states_without_losses(
    rule: ctypes.CDLL, history: History
) -> None:
    kernel = Kernel(rule)
    for sock, old, new, _ in history:
        kernel.event(sock, old, new)
        assert +kernel.slots == kernel.exact()
        assert min(kernel.slots.values(), default=0) >= 0
    opened = {sock for sock, old, _, _ in history if old == S.LISTEN and history}
    opened -= {sock for sock, old, new, _ in history if (old, new) == (S.LISTEN, S.CLOSE)}
    shown = {sock for sock in opened if kernel.states[sock] != S.SYN_RECV}
    assert kernel.accepted == len(opened)
    assert kernel.probed == sum(map(is_probe, shown))
    assert kernel.arrived == len(shown) - kernel.probed


@given(histories())
def test_lost_events_never_count_a_connection_twice(rule: ctypes.CDLL, history: History) -> None:
    kernel = Kernel(rule)
    for sock, old, new, delivered in history:
        kernel.event(sock, old, new, delivered)
    opened = {sock for sock, old, new, _ in history if (old, new) == (S.LISTEN, S.SYN_RECV)}
    assert kernel.accepted <= len(opened)
    assert kernel.arrived + kernel.probed <= len(opened)


@given(histories(), histories(), st.integers(0, 40))
def test_one_snapshot_corrects_lost_events_and_a_late_start(
    rule: ctypes.CDLL, history: History, later: History, counted_from: int
) -> None:
    """The port is counted from some event on, and some events are lost. After a snapshot without
    concurrent changes, further counts without losses are exact, and never negative."""
    kernel, ledger = Kernel(rule), Ledger()
    for number, (sock, old, new, delivered) in enumerate(history):
        kernel.event(sock, old, new, delivered and number >= counted_from)
        ledger.update(POD, kernel.counts())
        shown = ledger.counts(POD)
        assert min([*shown.by_state.values(), shown.probes]) >= 0
    ledger.rebase(POD, kernel.counts(), sockets_of(kernel), kernel.counts())
    assert shown_by(ledger) == +kernel.exact()
    for sock, old, new, _ in later:
        kernel.event(100 + sock, old, new)
    ledger.update(POD, kernel.counts())
    assert shown_by(ledger) == +kernel.exact()


def sockets_of(kernel: Kernel) -> Snapshot:
    return snapshot(
        1.0,
        *(
            in_state(state)._replace(probe=sock in kernel.known_probes and state != S.SYN_RECV)
            for sock, state in kernel.states.items()
            if state in THERE
        ),
    )


def shown_by(ledger: Ledger) -> Counter[int]:
    counts = ledger.counts(POD)
    shown = Counter[int](counts.by_state)
    shown[CountedAs.PROBE] = counts.probes
    return +shown
