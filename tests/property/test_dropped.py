"""The rule of bpf/dropped.h, compiled for the host: two programs on one tracepoint count each
change once, however changes interrupt one another, unless a change interrupts both programs."""

import ctypes
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.kernel.wire import CountedChanges
from tests.property.host_library import load

HARNESS = """
#include "dropped.h"
typedef struct counted_changes changes;
void record_counted_(changes *here, __u64 socket) { record_counted(here, socket); }
int begin_second_(changes *here, __u64 socket) { return begin_second(here, socket); }
void end_second_(changes *here) { end_second(here); }
"""


@pytest.fixture(scope="module")
def rule(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return load(tmp_path_factory.mktemp("dropped"), HARNESS)


@dataclass(frozen=True)
class Change:
    """A change, and those that interrupt the first program, the moment between both programs, and
    the second program."""

    in_first: tuple["Change", ...] = ()
    between: tuple["Change", ...] = ()
    in_second: tuple["Change", ...] = ()


@dataclass
class Cpu:
    """A CPU with both programs. As in the kernel, a program that runs is not run again."""

    rule: ctypes.CDLL
    here: CountedChanges = field(default_factory=CountedChanges)
    sockets: "count[int]" = field(default_factory=lambda: count(1))
    counted: Counter[int] = field(default_factory=Counter)
    lost: set[int] = field(default_factory=set)
    dropped: int = 0
    first_runs = second_runs = False

    def happen(self, change: Change) -> None:
        socket = ctypes.c_uint64(next(self.sockets))
        if self.first_runs and self.second_runs:
            self.lost.add(socket.value)
        self._first(change, socket)
        for other in change.between:
            self.happen(other)
        self._second(change, socket)

    def _first(self, change: Change, socket: ctypes.c_uint64) -> None:
        if self.first_runs:
            self.dropped += 1
            return
        self.first_runs = True
        self.counted[socket.value] += 1
        for other in change.in_first:
            self.happen(other)
        self.rule.record_counted_(ctypes.byref(self.here), socket)
        self.first_runs = False

    def _second(self, change: Change, socket: ctypes.c_uint64) -> None:
        if self.second_runs:
            return
        self.second_runs = True
        if self.rule.begin_second_(ctypes.byref(self.here), socket):
            self.counted[socket.value] += 1
        for other in change.in_second:
            self.happen(other)
        self.rule.end_second_(ctypes.byref(self.here))
        self.second_runs = False


def some(changes: st.SearchStrategy[Change]) -> st.SearchStrategy[Change]:
    few = st.lists(changes, max_size=2).map(tuple)
    return st.builds(Change, few, few, few)


CHANGES = st.recursive(st.just(Change()), some, max_leaves=6)


@given(st.lists(CHANGES, min_size=1, max_size=4))
def test_each_change_is_counted_once_unless_it_interrupts_both_programs(
    rule: ctypes.CDLL, changes: list[Change]
) -> None:
    cpu = Cpu(rule)
    for change in changes:
        cpu.happen(change)
    happened = next(cpu.sockets)
    assert dict(cpu.counted) == {s: 1 for s in range(1, happened) if s not in cpu.lost}
    assert cpu.dropped - cpu.here.recovered == len(cpu.lost)
