"""The age of connections whose opening the kernel does not know."""

from drainmon.model.standing import Socket
from drainmon.sources.first_seen import FirstSeen
from tests.unit.sockets import TEMPLATE

PORTS = frozenset({80})


def one(remote_port: int, opened: float | None = None, port: int = 80) -> Socket:
    return TEMPLATE._replace(local_port=port, remote_port=remote_port, opened=opened)


def dated(
    seen: FirstSeen, taken: float, *sockets: Socket, ports: frozenset[int] = PORTS
) -> list[float | None]:
    found = list(sockets)
    seen.date(found, ports, taken)
    return [socket.opened for socket in found]


def test_a_new_connection_is_dated_by_the_snapshot_that_finds_it() -> None:
    seen = FirstSeen()
    assert dated(seen, 1.0, one(1)) == [None]
    assert dated(seen, 2.0, one(1), one(2), one(3, opened=1.5)) == [None, 2.0, 1.5]
    assert dated(seen, 3.0, one(2), one(4)) == [2.0, 3.0]


def test_connections_on_a_newly_known_port_have_no_age() -> None:
    seen = FirstSeen()
    dated(seen, 1.0, one(1))
    both = frozenset({80, 443})
    assert dated(seen, 2.0, one(1), one(2, port=443), ports=both) == [None, None]
    assert dated(seen, 3.0, one(2, port=443), one(3, port=443), ports=both) == [None, 3.0]


def test_minisockets_have_no_age() -> None:
    seen = FirstSeen()
    dated(seen, 1.0)
    assert dated(seen, 2.0, one(1)._replace(minisocket=True)) == [None]


def test_a_snapshot_that_ends_out_of_order_forgets_nothing() -> None:
    seen = FirstSeen()
    dated(seen, 1.0, one(1))
    assert dated(seen, 3.0, one(1), one(2)) == [None, 3.0]
    assert dated(seen, 2.0, one(1)) == [None]
    assert dated(seen, 4.0, one(1), one(2)) == [None, 3.0]
