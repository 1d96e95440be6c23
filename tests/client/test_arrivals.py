"""Arrivals without the daemon: counted as the daemon counts them from the same tables."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from drainmon.model.ignored import Ignored
from drainmon.model.tcp import TcpState
from drainmon.procfs.net_tcp import find_rows, parse_row
from drainmon.sources.ignored_arrivals import IgnoredArrivals
from tests.client.library import Library
from tests.unit.proc_net import Row, table

PEERS, PORTS = "10.0.0.0/24,192.0.2.9", "9113"
LISTENER = Row(80, TcpState.LISTEN, inode=1, last=0)
NOT_YET_OPENED = {TcpState.LISTEN, TcpState.SYN_RECV}
MINISOCKETS = {TcpState.SYN_RECV, TcpState.FIN_WAIT2, TcpState.TIME_WAIT}


def row(remote: str, number: int, state: TcpState, port: int) -> Row:
    ato = None if state in MINISOCKETS else 4
    return Row(port, state, remote=IPv4Address(remote), remote_port=number, ato=ato)


ROWS = st.builds(
    row,
    st.sampled_from(["10.0.0.5", "192.0.2.9", "192.0.2.1"]),
    st.integers(1, 4),
    st.sampled_from([TcpState.SYN_RECV, TcpState.ESTABLISHED, TcpState.TIME_WAIT]),
    st.sampled_from([80, 9113, 4000]),
)
LOOKS = st.lists(
    st.tuples(st.sets(ROWS, max_size=5), st.integers(0, 6), st.integers(0, 3)),
    min_size=1,
    max_size=8,
)


@given(LOOKS)
def test_client_counts_the_arrivals_that_the_daemon_counts(
    library: Library, looks: list[tuple[Iterable[Row], int, int]]
) -> None:
    daemon = IgnoredArrivals(Ignored.parse(PEERS.split(","), [PORTS]))
    total = 0
    for number, (rows, opens, during) in enumerate(looks):
        total += opens if number else 3
        text = table(LISTENER, *rows)
        found = [parse_row(one) for one in find_rows(text, frozenset({80, 9113}))]
        daemon.add(one[:4] for one in found if one and one.state not in NOT_YET_OPENED)
        expected = daemon.arrivals(opens if number else 0, during, 100.0)
        counted = library.arrivals(text, total, during, peers=PEERS, ports=PORTS, first=not number)
        assert counted == expected


def test_ignored_peers_are_not_counted_as_arrivals(library: Library) -> None:
    mine = row("10.0.0.5", 1, TcpState.ESTABLISHED, 80)
    assert library.arrivals(table(LISTENER), 7, peers=PEERS, ports=PORTS, first=True) == 0
    assert library.arrivals(table(LISTENER), 7) == 0
    assert library.arrivals(table(LISTENER, mine), 8) == 0
    other = replace(mine, remote=IPv4Address("192.0.2.1"))
    assert library.arrivals(table(LISTENER, mine, other), 9) == 1
