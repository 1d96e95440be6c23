"""How a connection stands: whether it holds a drain."""

from math import inf

import pytest

from drainmon.model.standing import LINGERING, UNUSED_AFTER, Socket, Standing
from drainmon.model.tcp import TcpState
from tests.unit.sockets import TEMPLATE, in_state, unused

FLYING = {"ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSING", "LAST_ACK", "CLOSE_WAIT"}


def vanished(retransmits: int, rto: float, state: TcpState = TcpState.ESTABLISHED) -> Socket:
    """A socket whose peer has acknowledged nothing for a minute; the first timeout was 0.2 s."""
    return in_state(state)._replace(
        unsent=1000, retransmits=retransmits, rto=rto, idle_ack=60.0, idle_in=60.0
    )


@pytest.mark.parametrize("state", TcpState)
def test_a_state_is_in_flight_until_nothing_can_be_lost(state: TcpState) -> None:
    assert in_state(state).in_flight == (state.name in FLYING)


def test_a_connection_silent_in_both_directions_is_unused() -> None:
    assert unused(UNUSED_AFTER + 0.1).standing() is Standing.UNUSED
    assert unused(UNUSED_AFTER - 0.1).in_flight


@pytest.mark.parametrize(
    "use",
    [
        {"bytes_received": 1},
        {"bytes_sent": 1},
        {"unsent": 1},
        {"unread": 1},
        {"bytes_received": None},
        {"bytes_sent": None},
        {"idle_in": None},
        {"state": TcpState.FIN_WAIT1},
        {"state": TcpState.CLOSE_WAIT},
    ],
)
def test_a_connection_used_in_any_way_is_in_flight(use: dict[str, int | None]) -> None:
    assert unused()._replace(**use).in_flight  # type: ignore[arg-type]


def test_minisockets_are_finished() -> None:
    for state in (TcpState.FIN_WAIT2, TcpState.SYN_RECV, TcpState.TIME_WAIT):
        assert in_state(state)._replace(minisocket=True).standing() is Standing.FINISHED


def test_an_upload_that_was_answered_early_is_in_flight() -> None:
    lingers = in_state(TcpState.FIN_WAIT2)
    assert lingers._replace(idle_in=LINGERING - 0.1).in_flight
    assert lingers._replace(idle_in=None).in_flight
    assert lingers._replace(idle_in=LINGERING).standing() is Standing.FINISHED
    assert lingers._replace(orphan=True).standing() is Standing.FINISHED


@pytest.mark.parametrize("retransmits, rto, gone", [(5, 6.4, False), (6, 12.8, True)])
def test_unanswered_retransmissions_make_a_peer_unreachable(
    retransmits: int, rto: float, gone: bool
) -> None:
    assert vanished(retransmits, rto).in_flight is not gone
    assert vanished(retransmits, rto, TcpState.FIN_WAIT1).in_flight is not gone


@pytest.mark.parametrize("state", [TcpState.FIN_WAIT1, TcpState.CLOSING, TcpState.LAST_ACK])
def test_a_peer_with_only_a_fin_unacknowledged_is_given_up_sooner(state: TcpState) -> None:
    fin = vanished(4, 3.2, state)._replace(unsent=1)
    assert fin.standing() is Standing.UNREACHABLE
    assert fin._replace(retransmits=3, rto=1.6).in_flight
    assert fin._replace(unsent=2).in_flight
    assert fin.standing(inf) is Standing.IN_FLIGHT
    assert fin._replace(retransmits=2, rto=0.8).standing(0.5) is Standing.UNREACHABLE


def test_one_byte_of_data_is_not_taken_for_a_fin() -> None:
    assert vanished(4, 3.2)._replace(unsent=1).in_flight


def test_an_idle_peer_is_not_given_up_at_the_first_retransmission() -> None:
    assert vanished(1, 0.4, TcpState.FIN_WAIT1)._replace(unsent=1).in_flight


def test_a_peer_that_answers_is_reachable() -> None:
    assert vanished(8, 51.2)._replace(idle_ack=0.3).in_flight


def test_a_closed_window_whose_probes_are_answered_is_slow() -> None:
    slow = vanished(0, 0.2)._replace(idle_ack=30.0)
    assert slow.in_flight
    assert slow._replace(probes_out=1).in_flight
    assert slow._replace(probes_out=5).in_flight
    assert slow._replace(probes_out=6).standing() is Standing.UNREACHABLE


def test_unreachable_follows_from_retransmissions_without_ack_times() -> None:
    assert vanished(6, 12.8)._replace(idle_ack=None).standing() is Standing.UNREACHABLE
    assert vanished(5, 6.4)._replace(idle_ack=None).in_flight


def test_a_peer_with_nothing_unsent_is_never_unreachable() -> None:
    assert vanished(9, 102.4)._replace(unsent=0).in_flight


def test_a_subflow_takes_the_state_of_its_mptcp_socket() -> None:
    established = in_state(TcpState.ESTABLISHED)
    assert established._replace(mptcp=TcpState.FIN_WAIT2, orphan=True).standing() is (
        Standing.FINISHED
    )
    assert established._replace(mptcp=TcpState.FIN_WAIT1).in_flight
    assert established._replace(mptcp=TcpState.CLOSE).standing() is Standing.FINISHED
    assert established._replace(mptcp=TcpState.ESTABLISHED).in_flight


def test_probes_do_not_hold_a_drain() -> None:
    assert TEMPLATE._replace(probe=True).standing() is Standing.PROBE


def test_a_tls_handshake_without_a_request_is_recognized() -> None:
    handshake = TEMPLATE._replace(bytes_received=700, bytes_sent=4000, idle_in=8.0, idle_out=7.9)
    assert handshake.seems_unrequested
    assert handshake.in_flight  # a request that waits for its response looks the same
    for other in (
        {"bytes_received": 0},
        {"bytes_received": 5000},
        {"bytes_sent": 20000},
        {"idle_out": 4.0},
        {"idle_in": 1.0, "idle_out": 1.0},
        {"unsent": 1},
        {"idle_in": None},
        {"bytes_sent": None},
        {"state": TcpState.CLOSE_WAIT},
    ):
        assert not handshake._replace(**other).seems_unrequested
