"""A pod's sockets at one moment, counted and shown."""

from dataclasses import replace

from drainmon.model.ignored import Ignored
from drainmon.model.snapshot import Rules, format_address, format_states
from drainmon.model.tcp import TcpState
from tests.unit.sockets import ADDRESS, established, in_state, snapshot, unused


def test_connections_that_do_not_hold_a_drain_are_counted_separately() -> None:
    gone = established()._replace(unsent=9, retransmits=7, rto=25.6, idle_ack=40.0)
    rules = Rules(unreachable_after=60.0)
    taken = snapshot(9.0, established(), unused(), gone)
    assert (taken.tally.in_flight, taken.tally.unused, taken.tally.unreachable) == (1, 1, 1)
    assert taken.tally.counted_in_flight == 3
    assert len(list(taken.in_flight())) == 1
    patient = taken.by(rules)
    assert (patient.tally.in_flight, patient.tally.unreachable) == (2, 0)
    assert len(list(patient.in_flight())) == 2


def test_ignored_connections_are_not_counted() -> None:
    rules = Rules(Ignored.parse(ports=["80"]))
    taken = replace(snapshot(9.0, established(), unused()), elsewhere=2).by(rules)
    assert (taken.tally.in_flight, taken.tally.unused) == (2, 0)


def test_states_are_counted_and_the_last_opening_found() -> None:
    taken = snapshot(9.0, established(3.0), established(5.0), in_state(TcpState.TIME_WAIT))
    assert taken.by_state() == {TcpState.ESTABLISHED: 2, TcpState.TIME_WAIT: 1}
    assert taken.last_opened() == 5.0
    assert len(taken.in_flight()) == 2
    assert snapshot(1.0, established()).last_opened() is None


def test_addresses_are_formatted() -> None:
    assert format_address(ADDRESS, 80) == "192.0.2.1:80"
    assert format_address(bytes(15) + b"\x01", 443) == "[::1]:443"


def test_states_are_listed_busiest_first() -> None:
    states = {TcpState.ESTABLISHED: 1, TcpState.FIN_WAIT1: 3, TcpState.CLOSING: 0}
    assert list(format_states(states).items()) == [("FIN_WAIT1", 3), ("ESTABLISHED", 1)]
