"""Connections from look to look: when they came, how long they are silent."""

from hypothesis import given
from hypothesis import strategies as st

from drainmon.model.snapshot import Listener, Socket, count
from drainmon.model.tcp import TcpState
from drainmon.procfs.net_tcp import find_rows
from drainmon.sources.look import WATCHED_WITHIN, Look
from drainmon.sources.sightings import Sightings
from tests.unit.proc_net import Row, packed, table

PORTS = frozenset({80})
SILENT, USED = Row(remote_port=40000, ato=0), Row(remote_port=40000)
OTHER = Row(remote_port=40001)
ANY = [
    Row(state=10, ato=0),
    Row(state=10, ato=0, last=16),
    Row(state=99),
    *(Row(remote_port=1, ato=ato, tx_queue=size) for ato in (0, 4) for size in (0, 9)),
    *(Row(remote_port=port, state=state) for port in (1, 2) for state in (1, 4, 5, 8, 9, 11)),
    *(Row(remote_port=port, state=state, ato=None) for port in (1, 2) for state in (3, 5, 6)),
]
"""Rows in which the same two ends are in many states."""


class Eyes:
    """Looks at tables made of rows."""

    def __init__(self) -> None:
        self.sightings = Sightings()

    def look(self, now: float, *rows: Row, again: int = 0) -> tuple[Socket, ...]:
        """At rows, of which the last ones come again."""
        look = Look(self.sightings, now)
        look.add(find_rows(table(*rows), PORTS), now)
        look.add(find_rows(table(*rows[len(rows) - again :]), PORTS), now)
        self.sightings = look.finish(now)
        seen = tuple(self.sightings)
        assert self.sightings.tally() == count(seen)
        assert len(self.sightings) == len(seen)
        return seen


def test_a_row_becomes_a_socket() -> None:
    row = Row(remote_port=40000, state=4, tx_queue=7)
    address = packed(row.local)
    assert Eyes().look(1.0, row) == (
        Socket(address, 80, address, 40000, TcpState.FIN_WAIT1, 1, 7, 0.0, 0.0),
    )


def test_what_is_there_at_the_first_look_was_opened_before() -> None:
    eyes = Eyes()
    (first,) = eyes.look(1.0, USED)
    assert first.opened is None
    assert [s.opened for s in eyes.look(1.1, USED, OTHER)] == [None, 1.1]
    assert [s.opened for s in eyes.look(1.2, USED, OTHER)] == [None, 1.1]


def test_a_changed_one_keeps_its_age() -> None:
    eyes = Eyes()
    eyes.look(1.0)
    eyes.look(1.1, USED)
    (ended,) = eyes.look(1.2, Row(remote_port=40000, state=8))
    assert (ended.opened, ended.state) == (1.1, TcpState.CLOSE_WAIT)


def test_the_same_addresses_again_are_another_connection() -> None:
    eyes = Eyes()
    eyes.look(1.0, Row(remote_port=40000, state=6, ato=None))
    (again,) = eyes.look(1.1, SILENT)
    assert (again.opened, again.idle_in) == (1.1, 0.0)


def test_nobody_knows_what_came_while_nobody_looked() -> None:
    eyes = Eyes()
    eyes.look(1.0, SILENT)
    later = 1.0 + WATCHED_WITHIN + 0.1
    renewed = Row(remote_port=40000, ato=0, inode=9)
    same, new = eyes.look(later, SILENT, OTHER)
    assert (same.idle_in, new.opened) == (later - 1.0, None)
    (another,) = eyes.look(2 * later, renewed)
    assert (another.idle_in, another.opened) == (0.0, None)


def test_silence_grows_into_never_used() -> None:
    eyes = Eyes()
    assert [eyes.look(now, SILENT)[0].never_used for now in (1.0, 2.0, 2.9, 3.1)] == [
        False, False, False, True,
    ]  # fmt: skip
    assert not eyes.look(3.2, USED)[0].never_used


def test_once_used_is_used_for_ever() -> None:
    eyes = Eyes()
    eyes.look(1.0, USED)
    assert [eyes.look(now, SILENT)[0].bytes_received for now in (2.0, 3.0, 4.0)] == [1, 1, 1]


def test_what_came_with_fast_open_leaves_no_trace() -> None:
    listener = Row(state=10, ato=0, last=16, rx_queue=2)
    eyes = Eyes()
    assert [eyes.look(now, listener, SILENT)[0].never_used for now in (1.0, 4.0)] == [False, False]
    assert eyes.sightings.listeners() == (Listener(packed(listener.local), 80, 2, None),)


def test_listeners_of_one_port_are_all_there() -> None:
    eyes = Eyes()
    assert eyes.look(1.0, Row(state=10, ato=0), Row(state=10, ato=0, inode=2)) == ()
    assert len(eyes.sightings.listeners()) == 2


def test_a_state_that_nobody_knows_is_passed_over() -> None:
    assert len(Eyes().look(1.0, Row(state=99), USED)) == 1


def test_what_remains_of_closed_connections_is_counted() -> None:
    eyes = Eyes()
    gone = [Row(remote_port=port, state=6, ato=None) for port in (1, 2, 3)]
    for left in (3, 2, 2, 0):
        assert len(eyes.look(1.0, USED, *gone[:left])) == 1
        assert eyes.sightings.time_wait == left


def test_rows_that_come_twice_are_as_silent_as_before() -> None:
    eyes = Eyes()
    assert [s.idle_in for s in eyes.look(1.0, USED, SILENT)] == [0.0, 0.0]
    assert [s.idle_in for s in eyes.look(2.0, USED, SILENT, again=2)] == [0.0, 1.0]
    assert [s.idle_in for s in eyes.look(3.0, USED, SILENT)] == [0.0, 2.0]


def test_a_row_that_comes_twice_is_one_connection() -> None:
    eyes = Eyes()
    assert len(eyes.look(1.0, USED, OTHER, USED)) == 2
    assert len(eyes.look(1.1, USED, OTHER, OTHER)) == 2
    assert len(eyes.look(1.2, Row(state=10, ato=0), SILENT, SILENT)) == 1
    assert len(eyes.look(1.3, USED, USED)) == 1


LOOKS = st.tuples(st.lists(st.sampled_from(ANY), max_size=9, unique=True), st.integers(0, 9))


@given(st.lists(LOOKS, max_size=6))
def test_whatever_comes_and_goes_the_list_is_that_of_the_table(
    looks: list[tuple[list[Row], int]],
) -> None:
    eyes = Eyes()
    for number, (rows, again) in enumerate(looks):
        sockets = eyes.look(1.0 + number, *rows, again=min(again, len(rows)))
        seen = [(s.remote_port, s.state, s.unsent) for s in sockets]
        shown = [(r.remote_port, r.state, r.tx_queue) for r in rows if r.state not in {6, 10, 99}]
        assert sorted(seen) == sorted(shown)
        assert len(eyes.sightings.listeners()) == sum(row.state == 10 for row in rows)
