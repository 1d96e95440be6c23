"""How each source judges single connections: whether a drain waits for them."""

import contextlib
import socket
import time

import pytest

from drainmon.model.snapshot import Rules
from drainmon.model.standing import LINGERING, UNUSED_AFTER, Socket, Standing
from drainmon.model.tcp import TcpState
from tests.kernel.pair import PORT, SERVER, Pair
from tests.kernel.sourced import SourceScene, until

pytestmark = pytest.mark.root

SOON = 2.0
"""Seconds after which these tests treat peers as unreachable."""

MPTCP = 262  # IPPROTO_MPTCP

Scenes = list[SourceScene]


async def only(scene: SourceScene) -> Socket:
    (found,) = (await scene.snapshot()).sockets
    return found


async def stands(scenes: Scenes, standing: Standing, after: float = SOON) -> None:
    """Wait until each source reports the standing."""

    async def asked() -> bool:
        found = [(await only(scene)).standing(after) for scene in scenes]
        return all(one is standing for one in found)

    await until(asked)


async def stays_in_flight(scenes: Scenes, seconds: float) -> None:
    """Assert that each source reports the connection in flight for `seconds`."""
    began = time.monotonic()

    async def for_so_long() -> bool:
        for scene in scenes:
            assert (await only(scene)).standing(SOON) is Standing.IN_FLIGHT
        return time.monotonic() - began > seconds

    await until(for_so_long)


async def test_a_connection_on_which_only_the_server_sends_is_in_flight(scenes: Scenes) -> None:
    pair = scenes[0].pair
    with pair.listen() as listener:
        client, accepted = pair.connect(listener)
        accepted.sendall(b"220 the server speaks first\r\n")
        assert client.recv(100)
        await stays_in_flight(scenes, UNUSED_AFTER + 0.5)
        for scene in scenes:
            found = await only(scene)
            if scene.knows_use:
                assert (found.bytes_received, bool(found.bytes_sent)) == (0, True)
        client.close()
        accepted.close()


async def test_unread_bytes_are_reported(scene: SourceScene) -> None:
    with scene.pair.listen() as listener:
        client, accepted = scene.pair.connect(listener)
        client.sendall(b"GET /")

        async def there() -> bool:
            return (await only(scene)).unread == 5

        await until(there)
        client.close()
        accepted.close()


async def test_an_early_answer_lingers_while_the_upload_continues(scenes: Scenes) -> None:
    """nginx has shut down its half, and reads the rest."""
    pair = scenes[0].pair
    knowing = [scene for scene in scenes if scene.knows_use]
    with pair.listen() as listener:
        client, accepted = pair.connect(listener)
        accepted.sendall(b"HTTP/1.1 413 \r\n\r\n")
        accepted.shutdown(socket.SHUT_WR)
        await scenes[0].check(FIN_WAIT2=1)
        client.sendall(b"the rest of the upload")
        await stands(scenes, Standing.IN_FLIGHT)
        await stands(knowing, Standing.FINISHED)
        idle_in = (await only(knowing[0])).idle_in
        assert idle_in is not None
        assert idle_in >= LINGERING
        client.sendall(b"more of it")
        await stands(scenes, Standing.IN_FLIGHT)
        accepted.recv(100)
        accepted.close()
        await stands(scenes, Standing.FINISHED)
        client.close()


def fill(connection: socket.socket) -> None:
    """Send until the kernel takes no more."""
    connection.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while True:
            connection.send(b"x" * (1 << 16))


async def test_a_vanished_peer_becomes_unreachable(scenes: Scenes) -> None:
    pair = scenes[0].pair
    with pair.listen() as listener:
        client, accepted = pair.connect(listener)
        client.sendall(b"GET /")
        accepted.recv(5)
        pair.cut()
        accepted.sendall(b"who gets this?")
        await stands(scenes, Standing.IN_FLIGHT)
        await stands(scenes, Standing.UNREACHABLE)
        for scene in scenes:
            assert (await only(scene)).standing(1e9) is Standing.IN_FLIGHT
            snapshot = (await scene.snapshot()).by(Rules(unreachable_after=SOON))
            assert (snapshot.tally.unreachable, len(snapshot.in_flight())) == (1, 0)
        pair.mend()
        await stands(scenes, Standing.IN_FLIGHT)
        client.close()
        accepted.close()


@pytest.mark.parametrize("client_closed_first", [False, True])
async def test_a_peer_that_vanished_before_the_fin_becomes_unreachable(
    scenes: Scenes, client_closed_first: bool
) -> None:
    pair = scenes[0].pair
    with pair.listen() as listener:
        client, accepted = pair.connect(listener)
        client.sendall(b"GET /")
        accepted.recv(5)
        if client_closed_first:
            client.close()
            await scenes[0].check(CLOSE_WAIT=1)
        pair.cut()
        accepted.close()
        for scene in scenes:
            await scene.check(**{"LAST_ACK" if client_closed_first else "FIN_WAIT1": 1})
            assert (await only(scene)).unsent == 1
        await stands(scenes, Standing.IN_FLIGHT, after=60.0)
        await stands(scenes, Standing.UNREACHABLE, after=60.0)
        client.close()


async def test_a_slow_reader_is_not_unreachable(scenes: Scenes) -> None:
    """Its window is closed; its kernel answers the window probes."""
    pair = scenes[0].pair
    with pair.listen() as listener:
        client, accepted = pair.connect(listener)
        fill(accepted)
        await stays_in_flight(scenes, 2 * SOON)
        assert (await only(scenes[0])).unsent > 0
        client.close()
        accepted.close()


async def test_a_vanished_slow_reader_becomes_unreachable(scenes: Scenes) -> None:
    pair = scenes[0].pair
    with pair.listen() as listener:
        client, accepted = pair.connect(listener)
        fill(accepted)
        pair.cut()
        await stands(scenes, Standing.IN_FLIGHT)
        await stands(scenes, Standing.UNREACHABLE)
        client.close()
        accepted.close()


def mptcp(pair: Pair) -> tuple[socket.socket, socket.socket, socket.socket]:
    """A listener, a connection's client end and its accepted end."""

    def made() -> socket.socket:
        try:
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP)
        except OSError:
            pytest.skip("needs a kernel with MPTCP")

    listener, client = pair.server.call(made), pair.client.call(made)
    listener.bind((SERVER, PORT))
    listener.listen()
    client.connect((SERVER, PORT))
    return listener, client, listener.accept()[0]


async def test_mptcp_is_judged_by_the_whole_connection(scene: SourceScene) -> None:
    """A subflow stays established after the close, until the peer closes, too."""
    listener, client, accepted = mptcp(scene.pair)
    with listener, client, accepted:
        client.sendall(b"GET /")
        accepted.recv(5)
        accepted.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        assert client.recv(100)
        await stands([scene], Standing.IN_FLIGHT)
        if not scene.knows_use:
            return
        assert (await only(scene)).mptcp is TcpState.ESTABLISHED
        accepted.close()

        async def finished() -> bool:
            return not (await scene.snapshot()).in_flight()

        await until(finished)
        found = (await scene.snapshot()).sockets
        assert {(s.state, s.mptcp) for s in found} <= {(TcpState.ESTABLISHED, TcpState.FIN_WAIT2)}
