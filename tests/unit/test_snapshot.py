"""Which connections are in flight."""

import pytest

from drainmon.model.snapshot import NEVER_USED_AFTER, format_address, format_states
from drainmon.model.tcp import TcpState
from tests.unit.sockets import ADDRESS, TEMPLATE, established, in_state, never_used, snapshot

FLYING = {"ESTABLISHED", "FIN_WAIT1", "CLOSING", "LAST_ACK", "CLOSE_WAIT"}


@pytest.mark.parametrize("state", TcpState)
def test_in_flight_until_the_peer_has_acknowledged_all(state: TcpState) -> None:
    assert in_state(state).in_flight == (state.name in FLYING)


def test_never_used_connections_are_not_in_flight() -> None:
    assert not never_used(NEVER_USED_AFTER + 0.1).in_flight
    assert never_used(NEVER_USED_AFTER - 0.1).in_flight
    assert never_used()._replace(unsent=1).in_flight
    assert never_used()._replace(state=TcpState.FIN_WAIT1).in_flight


def test_minisockets_are_not_in_flight() -> None:
    assert not TEMPLATE._replace(minisocket=True).in_flight


def test_counts_and_last_opened() -> None:
    taken = snapshot(9.0, established(3.0), established(5.0), in_state(TcpState.TIME_WAIT))
    assert taken.by_state() == {TcpState.ESTABLISHED: 2, TcpState.TIME_WAIT: 1}
    assert taken.last_opened() == 5.0
    assert len(taken.in_flight()) == 2
    assert snapshot(1.0, established()).last_opened() is None


def test_addresses_for_people() -> None:
    assert format_address(ADDRESS, 80) == "192.0.2.1:80"
    assert format_address(bytes(15) + b"\x01", 443) == "[::1]:443"


def test_states_for_people_busiest_first() -> None:
    states = {TcpState.ESTABLISHED: 1, TcpState.FIN_WAIT1: 3, TcpState.CLOSING: 0}
    assert list(format_states(states).items()) == [("FIN_WAIT1", 3), ("ESTABLISHED", 1)]
