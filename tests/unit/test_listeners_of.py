"""Connections and ports of a netns that may not be entered, read from its tables."""

import os
import socket

import pytest

from drainmon.kernel import netns
from drainmon.pods.listeners import connections_of, ports_in_use


def refuse(*_: object) -> None:
    raise PermissionError(1, "cannot enter the network namespace: Operation not permitted")


@pytest.fixture(params=[False, True], ids=["entered", "refused"])
def refused(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param:
        monkeypatch.setattr(netns, "call_in", refuse)
    return bool(request.param)


@pytest.mark.usefixtures("refused")
def test_a_connection_and_its_port_are_found_in_the_tables() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()),
        server.accept()[0] as accepted,
    ):
        port, inode = server.getsockname()[1], os.fstat(accepted.fileno()).st_ino
        server.close()
        connections, _ = connections_of(os.getpid())
        assert connections[inode] == port
        assert 0 not in connections
        assert port in ports_in_use(os.getpid())
