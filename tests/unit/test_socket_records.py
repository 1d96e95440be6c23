"""The sockets in a snapshot's records: those on the pod's ports, TIME_WAIT only counted."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.kernel.wire import SOCKET_RECORD, RecordFlag
from drainmon.model.tcp import TcpState
from drainmon.sources.records import Records

ADDRESS = bytes(16)
STATES = [TcpState.ESTABLISHED, TcpState.CLOSE_WAIT, TcpState.LISTEN, TcpState.TIME_WAIT]


def record(state: TcpState, port: int, remote_port: int) -> bytes:
    flags = RecordFlag.TIMEWAIT if state is TcpState.TIME_WAIT else 0
    times = [0] * 6
    return SOCKET_RECORD.pack(
        ADDRESS, ADDRESS, 1, 2, 0, *times, port, remote_port, state, flags, 0, 0
    )


@given(st.lists(st.tuples(st.sampled_from(STATES), st.sampled_from([80, 443, 9000]))))
def test_sockets_on_the_pods_ports_are_kept(sockets: list[tuple[TcpState, int]]) -> None:
    found = Records()
    found.add(
        b"".join(record(state, port, number) for number, (state, port) in enumerate(sockets)),
        frozenset({80, 443}),
    )
    mine = [
        (state, port, number) for number, (state, port) in enumerate(sockets) if port in {80, 443}
    ]
    assert found.time_wait == sum(state is TcpState.TIME_WAIT for state, _, _ in mine)
    assert len(found.listeners) == sum(state is TcpState.LISTEN for state, _, _ in mine)
    assert [(s.state, s.local_port, s.remote_port) for s in found.sockets] == [
        one for one in mine if one[0] not in {TcpState.LISTEN, TcpState.TIME_WAIT}
    ]


@pytest.mark.parametrize("state", [TcpState.ESTABLISHED, TcpState.TIME_WAIT])
def test_a_truncated_record_is_an_error(state: TcpState) -> None:
    with pytest.raises(struct.error):
        Records().add(record(state, 80, 1) + record(state, 80, 2)[:-1], frozenset({80}))
