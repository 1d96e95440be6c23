"""Which of the passive opens that a namespace counts may have been by others than ignored peers."""

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


def test_a_check_that_is_seen_is_no_arrival(world: World) -> None:
    assert world.look(1, check(1)) == 0
    assert world.look(0, check(1)) == 0
    assert world.look(1, check(1), check(2)) == 0


def test_others_are_arrivals(world: World) -> None:
    assert world.look(1, OTHER) == 1
    assert world.look(2, OTHER, check(1), (*OTHER[:3], 8)) == 1


def test_who_is_not_seen_is_an_arrival(world: World) -> None:
    assert world.look(1) == 1


def test_an_ignored_port(world: World) -> None:
    assert world.look(1, (OTHER[0], 9113, *OTHER[2:])) == 0


def test_the_first_look_explains_nothing() -> None:
    world = World.__new__(World)
    world.arrivals = IgnoredArrivals(Ignored.parse(["10.0.0.0/24"]))
    world.now = 0.0
    assert world.look(3, check(1), during=1) == 3
    assert world.look(1, check(1), check(2)) == 1  # it may have come during the first one
    assert world.look(1, check(1), check(2), check(3)) == 0


def test_a_connection_explains_no_open_that_was_told_before(world: World) -> None:
    assert world.look(1, during=1) == 1  # counted behind the rows
    assert world.look(1, check(1)) == 1  # so this may be another's
    assert world.look(0, check(1)) == 0
    assert world.look(1, check(1), check(2)) == 0


def test_checks_at_every_look_are_no_arrivals(world: World) -> None:
    assert world.look(1) == 1
    told = [world.look(1, *map(check, range(number))) for number in range(1, 9)]
    assert told == [0] * 8


def test_a_connection_that_was_passed_over_is_not_new(world: World) -> None:
    assert world.look(1, check(1)) == 0
    assert world.look(0) == 0
    assert world.look(1, check(1)) == 1


def test_who_is_long_gone_is_forgotten(world: World) -> None:
    assert world.look(1, check(1)) == 0
    assert world.look(0, pause=KNOWN_FOR + 0.1) == 0
    assert world.look(1, check(1)) == 0


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
