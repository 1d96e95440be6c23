"""Which of the passive opens that a namespace counts may have been by others than ignored peers."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.model.ignored import Ignored
from drainmon.model.tcp import TcpState
from drainmon.procfs.net_tcp import find_rows
from drainmon.sources.ignored_arrivals import KNOWN_FOR, IgnoredArrivals
from tests.unit.proc_net import Row, table

CHECK = Row(local_port=80, remote=IPv4Address("10.0.0.5"), local=IPv4Address("10.0.0.9"))
OTHER = replace(CHECK, remote=IPv4Address("192.0.2.1"), remote_port=7)
PORTS = frozenset({80, 9113})


class World:
    """Looks half a second apart."""

    def __init__(self) -> None:
        self.arrivals = IgnoredArrivals(Ignored.parse(["10.0.0.0/24"], ["9113"]))
        self.now = 100.0
        self.look(0)

    def look(self, opens: int, *rows: Row, during: int = 0, pause: float = 0.5) -> int:
        self.now += pause
        self.arrivals.add(find_rows(table(*rows), PORTS))
        return self.arrivals.arrivals(opens, during, self.now)


def check(number: int, state: TcpState = TcpState.ESTABLISHED) -> Row:
    ato = None if state in {TcpState.TIME_WAIT, TcpState.SYN_RECV} else 4
    return replace(CHECK, remote_port=number, state=state, ato=ato)


@pytest.fixture
def world() -> World:
    return World()


def test_a_check_that_is_seen_is_no_arrival(world: World) -> None:
    assert world.look(1, check(1)) == 0
    assert world.look(0, check(1)) == 0
    assert world.look(1, check(1, TcpState.TIME_WAIT), check(2, TcpState.TIME_WAIT)) == 0


def test_others_are_arrivals(world: World) -> None:
    assert world.look(1, OTHER) == 1
    assert world.look(2, OTHER, check(1), replace(OTHER, remote_port=8)) == 1


def test_who_is_not_seen_is_an_arrival(world: World) -> None:
    assert world.look(1) == 1


def test_an_ignored_port(world: World) -> None:
    assert world.look(1, replace(OTHER, local_port=9113)) == 0


def test_a_listener_and_a_handshake_are_no_passive_opens(world: World) -> None:
    assert world.look(1, check(1, TcpState.SYN_RECV), check(0, TcpState.LISTEN)) == 1


def test_the_first_look_explains_nothing() -> None:
    world = World.__new__(World)
    world.arrivals = IgnoredArrivals(Ignored.parse(["10.0.0.0/24"]))
    world.now = 0.0
    assert world.look(3, check(1), during=1) == 3
    assert world.look(1, check(1), check(2)) == 1  # it may have come during the first one
    assert world.look(1, check(1), check(2), check(3)) == 0


def test_a_row_explains_no_open_that_was_told_before(world: World) -> None:
    assert world.look(1, during=1) == 1  # counted behind the rows
    assert world.look(1, check(1)) == 1  # so this may be another's
    assert world.look(0, check(1)) == 0
    assert world.look(1, check(1), check(2)) == 0


def test_checks_at_every_look_are_no_arrivals(world: World) -> None:
    assert world.look(1) == 1
    told = [world.look(1, *map(check, range(number))) for number in range(1, 9)]
    assert told == [0] * 8


def test_a_row_that_was_passed_over_is_not_new(world: World) -> None:
    assert world.look(1, check(1)) == 0
    assert world.look(0) == 0
    assert world.look(1, check(1)) == 1


def test_who_is_long_gone_is_forgotten(world: World) -> None:
    assert world.look(1, check(1)) == 0
    assert world.look(0, pause=KNOWN_FOR + 0.1) == 0
    assert world.look(1, check(1)) == 0


def test_a_torn_row(world: World) -> None:
    world.arrivals.add([b"0100000A:0050", b"x:0050 y 01 ", b""])
    assert world.look(1) == 1


@given(st.lists(st.tuples(st.sets(st.integers(1, 6)), st.integers(0, 3), st.booleans())))
def test_no_arrival_is_ever_explained_away(looks: list[tuple[set[int], int, bool]]) -> None:
    """Checks come, are seen now or at the next look, and stay; so many others come unseen."""
    world = World()
    shown: set[int] = set()
    late: set[int] = set()
    for checks, others, unseen in looks:
        fresh = checks - shown - late
        visible = set() if unseen else fresh
        shown |= late | visible
        late = fresh - visible
        during = len(late)
        assert world.look(len(fresh) + others, *map(check, shown), during=during) >= others
