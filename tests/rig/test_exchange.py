"""Each way in which a request can fail is distinguished, without a network."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from bench.rig.errors import RigError
from bench.rig.exchange import CHUNK_BYTES, Connection
from bench.rig.outcome import Kind, Lost, Outcome, Totals

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
PATIENCE = 0.05


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    here.setblocking(False)
    with here, there:
        yield here, there


async def get(here: socket.socket, *, last: bool = False) -> bool:
    return await Connection(here, PATIENCE).get("/", last=last)


async def outcome(here: socket.socket) -> Outcome:
    with pytest.raises(Lost) as lost:
        await get(here)
    return lost.value.outcome


async def test_a_whole_reply_is_read(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].sendall(REPLY)
    assert await get(ends[0])


async def test_a_reply_in_pieces_is_read(ends: tuple[socket.socket, socket.socket]) -> None:
    request = asyncio.create_task(get(ends[0]))
    for at in range(0, len(REPLY), 7):
        ends[1].sendall(REPLY[at : at + 7])
        await asyncio.sleep(0)
    assert await request


async def test_announced_close_ends_the_connection(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ends[1].sendall(REPLY.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert not await get(ends[0])


async def test_eof_before_the_reply_is_a_reset(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].shutdown(socket.SHUT_WR)
    assert Connection(ends[0], PATIENCE).hung_up()
    assert await outcome(ends[0]) is Outcome.RESET


async def test_rst_before_the_reply_is_a_reset(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[0].send(b"unread")
    ends[1].close()
    assert Connection(ends[0], PATIENCE).hung_up()
    assert await outcome(ends[0]) is Outcome.RESET


async def test_silence_is_a_timeout(ends: tuple[socket.socket, socket.socket]) -> None:
    assert not Connection(ends[0], PATIENCE).hung_up()
    assert await outcome(ends[0]) is Outcome.TIMEOUT


@pytest.mark.parametrize("length", [3, len(REPLY) - 1])
async def test_a_cut_reply_is_truncated(
    ends: tuple[socket.socket, socket.socket], length: int
) -> None:
    ends[1].sendall(REPLY[:length])
    ends[1].shutdown(socket.SHUT_WR)
    assert await outcome(ends[0]) is Outcome.TRUNCATED


async def test_a_stalled_reply_is_truncated(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].sendall(REPLY[:-1])
    assert await outcome(ends[0]) is Outcome.TRUNCATED


async def answer_upgrade(there: socket.socket, *echoes: bytes) -> None:
    loop = asyncio.get_running_loop()
    there.setblocking(False)
    assert b"Upgrade: echo" in await loop.sock_recv(there, 1000)
    await loop.sock_sendall(there, b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    for echo in echoes:
        await loop.sock_recv(there, 1000)
        await loop.sock_sendall(there, echo)


async def test_a_stream_is_echoed(ends: tuple[socket.socket, socket.socket]) -> None:
    other = asyncio.create_task(answer_upgrade(ends[1], b"0\n", b"1\n"))
    await Connection(ends[0], PATIENCE).stream("/stream", 0.03, 0.02)
    await other


async def test_a_cut_stream_is_truncated(ends: tuple[socket.socket, socket.socket]) -> None:
    other = asyncio.create_task(answer_upgrade(ends[1], b"0\n"))
    other.add_done_callback(lambda _: ends[1].shutdown(socket.SHUT_RDWR))
    with pytest.raises(Lost) as lost:
        await Connection(ends[0], PATIENCE).stream("/stream", 10, 0.01)
    assert lost.value.outcome is Outcome.TRUNCATED


async def test_a_garbled_stream_is_the_rigs_failure(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    other = asyncio.create_task(answer_upgrade(ends[1], b"7\n"))
    with pytest.raises(RigError, match="sent b'0"):
        await Connection(ends[0], PATIENCE).stream("/stream", 10, 0.01)
    await other


async def test_a_reply_is_whole_when_its_last_byte_has_arrived(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    here, there = ends
    length = 3 * CHUNK_BYTES
    there.sendall(REPLY.split(b"Content")[0] + b"Content-Length: %d\r\n\r\n" % length)
    there.sendall(bytes(length))
    connection = Connection(here, 1)
    began = asyncio.get_running_loop().time()
    await connection.get("/", last=True, rate=length / 0.2)
    assert connection.whole_at - began < 0.15  # although reading takes 0.2 s


async def test_other_statuses_are_the_rigs_failure(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ends[1].sendall(REPLY.replace(b"200 OK", b"502 Bad Gateway"))
    with pytest.raises(RigError, match="502 Bad Gateway"):
        await get(ends[0])


def test_totals_add_up() -> None:
    totals = Totals()
    totals.add(Kind.SHORT, Outcome.OK)
    totals.add(Kind.SHORT, Outcome.REFUSED)
    totals.add(Kind.ENDLESS, Outcome.RESET, race=True)
    assert (totals.requests(), totals.lost()) == (3, 2)
    assert (totals.requests(Kind.SHORT), totals.lost(Kind.SHORT)) == (2, 1)
    assert totals.losses() == {Outcome.REFUSED: 1, Outcome.RESET: 1}
    assert totals.races[Kind.ENDLESS] == 1
    assert Totals.from_json(totals.to_json()) == totals
