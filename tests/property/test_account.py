"""The counting rule of bpf/account.h, compiled for the host: any order of events, some of them
lost, leaves what the sockets' own states say."""

import ctypes
import itertools
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.kernel.wire import CountedAs
from drainmon.model.tcp import TcpState

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
OUTBOUND = [S.CLOSE, S.SYN_SENT, S.ESTABLISHED, S.FIN_WAIT1, S.FIN_WAIT2, S.CLOSE]

HARNESS = """
typedef unsigned char __u8; typedef unsigned short __u16; typedef unsigned int __u32;
typedef unsigned long long __u64; typedef long long __s64;
#include "account.h"
struct change account_(int counted_under, int newstate, int probe)
{ return account(counted_under, newstate, probe); }
int shows_whose_(int counted_under, int newstate)
{ return account_shows_whose(counted_under, newstate); }
int is_passive_(int oldstate, int newstate) { return account_is_passive(oldstate, newstate); }
"""


class Change(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint8) for name in ("leave", "enter", "accepted", "arrived", "probed")
    )


@pytest.fixture(scope="module")
def rule(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("account")
    source, library = folder / "account.c", folder / "account.so"
    source.write_text(HARNESS)
    bpf = Path(__file__).parents[2] / "bpf"
    flags = ["-shared", "-fPIC", "-Wall", "-Werror", f"-I{bpf}"]
    subprocess.run(["gcc", *flags, str(source), "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.account_.restype = Change
    return loaded


class Kernel:
    """Counters and entries as the tracepoint's program keeps them, with the rule under test."""

    def __init__(self, rule: ctypes.CDLL) -> None:
        self.rule = rule
        self.counters: Counter[int] = Counter()
        self.accepted = self.arrived = self.probed = 0
        self.entries: dict[int, int] = {}

    def event(self, sock: int, old: int, new: int) -> None:
        entry = self.entries.get(sock, 0)
        if not entry and not self.rule.is_passive_(old, new):
            return
        shows = self.rule.shows_whose_(entry, new)
        change = self.rule.account_(entry, new, shows and is_probe(sock))
        self.accepted += change.accepted
        self.arrived += change.arrived
        self.probed += change.probed
        if change.leave:
            self.counters[change.leave] -= 1
        if change.enter:
            self.counters[change.enter] += 1
            self.entries[sock] = change.enter
        else:
            self.entries.pop(sock, None)
        assert min(self.counters.values(), default=0) >= 0


def is_probe(sock: int) -> bool:
    return sock % 3 == 0


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, int, int, bool]]:
    """Interleaved events of sockets, each (socket, old, new, delivered); some stay open."""
    events: list[list[tuple[int, int, int, bool]]] = []
    for sock in range(draw(st.integers(1, 8))):
        chain = draw(st.sampled_from([*CHAINS, OUTBOUND]))
        length = draw(st.integers(1, len(chain) - 1))
        steps = list(itertools.pairwise(chain))[:length]
        events.append([(sock, old, new, draw(st.integers(0, 9)) > 0) for old, new in steps])
    mixed = []
    while any(events):
        source = draw(st.sampled_from([queue for queue in events if queue]))
        mixed.append(source.pop(0))
    return mixed


@given(histories())
def test_without_losses_counters_are_the_sockets_states(
    rule: ctypes.CDLL, history: list[tuple[int, int, int, bool]]
) -> None:
    kernel = Kernel(rule)
    states: dict[int, int] = {}
    opened = set()
    for sock, old, new, _ in history:
        kernel.event(sock, old, new)
        if old == S.LISTEN:
            opened.add(sock)
        states[sock] = new
    live = Counter(
        CountedAs.PROBE if is_probe(sock) and state != S.SYN_RECV else state
        for sock, state in states.items()
        if sock in opened and state != S.CLOSE
    )
    assert +kernel.counters == live
    assert kernel.accepted == len(opened)
    known = {sock for sock in opened if states[sock] != S.SYN_RECV}
    assert kernel.probed == sum(map(is_probe, known))
    assert kernel.arrived == len(known) - kernel.probed


@given(histories())
def test_lost_events_never_count_below_zero_nor_twice(
    rule: ctypes.CDLL, history: list[tuple[int, int, int, bool]]
) -> None:
    kernel = Kernel(rule)
    for sock, old, new, delivered in history:
        if delivered:
            kernel.event(sock, old, new)
    assert sum(kernel.counters.values()) == len(kernel.entries)
    accepted = {sock for sock, old, _, _ in history if old == S.LISTEN}
    assert kernel.accepted <= len(accepted)
    assert kernel.arrived <= sum(not is_probe(sock) for sock in accepted)


@given(histories())
def test_a_delivered_last_event_leaves_nothing(
    rule: ctypes.CDLL, history: list[tuple[int, int, int, bool]]
) -> None:
    kernel = Kernel(rule)
    for sock, old, new, delivered in history:
        if delivered or new == S.CLOSE:
            kernel.event(sock, old, new)
    closed = {sock for sock, _, new, _ in history if new == S.CLOSE}
    assert closed.isdisjoint(kernel.entries)
