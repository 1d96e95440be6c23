"""Which of a namespace's passive opens may have been by peers that are not ignored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.model.ignored import Ignored
from drainmon.sources.ignored_arrivals import KNOWN_FOR, IgnoredArrivals
from drainmon.sources.reading import Ends

OTHER = (b"\0" * 16, 80, bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1]), 7)


class World:
    """Looks half a second apart."""

    def __init__(self) -> None:
        self.arrivals = IgnoredArrivals(Ignored.parse(["10.0.0.0/24"], ["9113"]))
        self.now = 100.0
        self.look(0)

    def look(self, opens: int, *shown: Ends, during: int = 0, pause: float = 0.5) -> int:
        self.now += pause
        self.arrivals.add(shown)
        return self.arrivals.arrivals(opens, during, self.now)


def check(number: int) -> Ends:
    return b"\0" * 16, 80, bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 5]), number


@pytest.fixture
def world() -> World:
    return World()


def test_a_visible_check_is_not_an_arrival(world: World) -> None:
    assert world.look(1, check(1)) == 0
    assert world.look(0, check(1)) == 0
    assert world.look(1, check(1), check(2)) == 0


def test_connections_of_other_peers_are_arrivals(world: World) -> None:
    assert world.look(1, OTHER) == 1
    assert world.look(2, OTHER, check(1), (*OTHER[:3], 8)) == 1


def test_an_open_without_a_visible_connection_is_an_arrival(world: World) -> None:
    assert world.look(1) == 1


def test_a_connection_on_an_ignored_port_is_not_an_arrival(world: World) -> None:
    assert world.look(1, (OTHER[0], 9113, *OTHER[2:])) == 0


def test_the_first_look_explains_nothing() -> None:
    world = World.__new__(World)
    world.arrivals = IgnoredArrivals(Ignored.parse(["10.0.0.0/24"]))
    world.now = 0.0
    assert world.look(3, check(1), during=1) == 3
    assert world.look(1, check(1), check(2)) == 1  # it may have come during the first look
    assert world.look(1, check(1), check(2), check(3)) == 0


def test_a_connection_explains_no_open_that_was_already_counted(world: World) -> None:
    assert world.look(1, during=1) == 1  # opened after the rows were read
    assert world.look(1, check(1)) == 1  # so this open may be another's
    assert world.look(0, check(1)) == 0
    assert world.look(1, check(1), check(2)) == 0


def test_checks_at_every_look_are_not_arrivals(world: World) -> None:
    assert world.look(1) == 1
    arrivals = [world.look(1, *map(check, range(number))) for number in range(1, 9)]
    assert arrivals == [0] * 8


def test_a_connection_that_a_look_missed_is_not_new(world: World) -> None:
    assert world.look(1, check(1)) == 0
    assert world.look(0) == 0
    assert world.look(1, check(1)) == 1


def test_a_connection_that_is_long_gone_is_forgotten(world: World) -> None:
    assert world.look(1, check(1)) == 0
    assert world.look(0, pause=KNOWN_FOR + 0.1) == 0
    assert world.look(1, check(1)) == 0


@given(st.lists(st.tuples(st.sets(st.integers(1, 6)), st.integers(0, 3), st.booleans())))
def test_no_arrival_is_ever_explained_away(looks: list[tuple[set[int], int, bool]]) -> None:
    """Checks come, are seen now or at the next look, and stay; `others` connections come unseen."""
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
