"""Sockets and snapshots for tests of pure code."""

from drainmon.model.snapshot import Listener, Snapshot
from drainmon.model.standing import Socket
from drainmon.model.tcp import TcpState

ADDRESS = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1])
LISTENER = Listener(ADDRESS, 80, 0, 511)
TEMPLATE = Socket(
    ADDRESS, 80, ADDRESS, 40000, TcpState.ESTABLISHED, 100, 0, 0.5, 0.5, bytes_sent=200
)


def established(opened: float | None = None) -> Socket:
    return TEMPLATE._replace(opened=opened)


def in_state(state: TcpState) -> Socket:
    return TEMPLATE._replace(state=state)


def unused(idle: float = 60.0) -> Socket:
    return TEMPLATE._replace(bytes_received=0, bytes_sent=0, idle_in=idle, idle_out=idle)


def snapshot(at: float, *sockets: Socket, took: float = 0.0) -> Snapshot:
    """A snapshot in which nginx listens."""
    return Snapshot(at, at + took, sockets, (LISTENER,))
