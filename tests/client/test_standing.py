"""The client judges connections by the daemon's rules."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.model.standing import Socket
from drainmon.model.tcp import TcpState
from tests.client.library import Library, Row

STEP = 125
"""Milliseconds whose seconds are exact in binary, so that client and daemon compute the same."""

TIMES = st.integers(0, 120).map(lambda count: count * STEP)
BYTES = st.sampled_from([0, 1, 2, 100, 4096, 4097, 16384, 16385, 2**40])
LIMITS = st.sampled_from([0, 125, 1_000, 3_000, 10_000, 60_000])


@dataclass(frozen=True)
class Case:
    state: TcpState = TcpState.ESTABLISHED
    unsent: int = 0
    unread: int = 0
    held: bool = True
    retransmits: int = 0
    probes_out: int = 0
    rto: int = 250
    counted: bool = True
    bytes_received: int = 100
    bytes_sent: int = 100
    idle_in: int = 5_000
    idle_out: int = 5_000
    idle_ack: int = 60_000

    def row(self) -> Row:
        names = ("unsent", "unread", "retransmits", "probes_out", "rto")
        row = Row(state=self.state, inode=int(self.held), counted=self.counted)
        for name in names:
            setattr(row, name, getattr(self, name))
        if self.counted:
            for name in ("bytes_received", "bytes_sent", "idle_in", "idle_out", "idle_ack"):
                setattr(row, name, getattr(self, name))
        return row

    def socket(self) -> Socket:
        def seconds(time: int) -> float | None:
            return time / 1000 if self.counted else None

        return Socket(
            local=bytes(16),
            local_port=80,
            remote=bytes(16),
            remote_port=1,
            state=self.state,
            bytes_received=self.bytes_received if self.counted else None,
            bytes_sent=self.bytes_sent if self.counted else None,
            unsent=self.unsent,
            unread=self.unread,
            idle_in=seconds(self.idle_in),
            idle_out=seconds(self.idle_out),
            idle_ack=seconds(self.idle_ack),
            orphan=not self.held,
            retransmits=self.retransmits,
            probes_out=self.probes_out,
            rto=self.rto / 1000,
        )


CASES = st.builds(
    Case,
    state=st.sampled_from([state for state in TcpState if state is not TcpState.LISTEN]),
    unsent=st.sampled_from([0, 1, 2, 50_000]),
    unread=st.sampled_from([0, 0, 7]),
    held=st.booleans(),
    retransmits=st.integers(0, 15),
    probes_out=st.sampled_from([0, 0, 1, 2, 5, 15]),
    rto=TIMES,
    counted=st.booleans(),
    bytes_received=BYTES,
    bytes_sent=BYTES,
    idle_in=TIMES,
    idle_out=TIMES,
    idle_ack=TIMES,
)


@given(case=CASES, limit=LIMITS)
def test_client_and_daemon_judge_connections_alike(
    library: Library, case: Case, limit: int
) -> None:
    socket = case.socket()
    expected = socket.standing(limit / 1000 if limit else math.inf)
    said, unrequested = library.standing(case.row(), limit)
    assert said == expected.value
    assert unrequested == socket.seems_unrequested


def gone(**columns: object) -> Case:
    return Case(unsent=50_000, **columns)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("case", "standing"),
    [
        (Case(bytes_received=0, bytes_sent=0), "unused"),
        (Case(bytes_received=0), "in flight"),
        (Case(bytes_sent=0), "in flight"),
        (Case(bytes_received=0, bytes_sent=0, idle_in=2_000), "in flight"),
        (Case(counted=False), "in flight"),
        (Case(state=TcpState.FIN_WAIT2), "finished"),
        (Case(state=TcpState.FIN_WAIT2, idle_in=4_999), "in flight"),
        (Case(state=TcpState.FIN_WAIT2, idle_in=0, held=False), "finished"),
        (Case(state=TcpState.FIN_WAIT2, counted=False), "in flight"),
        (Case(state=TcpState.TIME_WAIT), "finished"),
        (gone(retransmits=6, rto=12_800), "unreachable"),
        (gone(retransmits=6, rto=12_800, idle_ack=9_999), "in flight"),
        (gone(retransmits=6, rto=12_800, counted=False), "unreachable"),
        (gone(retransmits=5, rto=6_400), "in flight"),
        # An idle peer that has lost one packet.
        (gone(retransmits=1, rto=400), "in flight"),
        (Case(state=TcpState.FIN_WAIT1, unsent=1, retransmits=1, rto=400), "in flight"),
        (Case(state=TcpState.FIN_WAIT1, unsent=1, retransmits=4, rto=3_200), "unreachable"),
        (Case(state=TcpState.FIN_WAIT1, unsent=2, retransmits=4, rto=3_200), "in flight"),
        # A closed window whose probes are answered, or not.
        (gone(probes_out=1, rto=120_000), "in flight"),
        (gone(probes_out=6, rto=200), "unreachable"),
        (gone(probes_out=255, rto=120_000), "unreachable"),
    ],
)
def test_a_connection_stands_as_its_row_shows(library: Library, case: Case, standing: str) -> None:
    assert library.standing(case.row(), 10_000)[0] == standing


def test_a_limit_of_zero_gives_up_no_peer(library: Library) -> None:
    assert library.standing(gone(retransmits=15, rto=120_000).row(), 0)[0] == "in flight"
