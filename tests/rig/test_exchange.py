"""Every way in which a request can fail has its own name; no network needed."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from bench.rig.errors import RigError
from bench.rig.exchange import Connection
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


async def test_whole_reply(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].sendall(REPLY)
    assert await get(ends[0])


async def test_reply_in_pieces(ends: tuple[socket.socket, socket.socket]) -> None:
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


async def test_eof_before_the_reply(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].shutdown(socket.SHUT_WR)
    assert Connection(ends[0], PATIENCE).hung_up()
    assert await outcome(ends[0]) is Outcome.RESET


async def test_reset_before_the_reply(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[0].send(b"unread")
    ends[1].close()
    assert Connection(ends[0], PATIENCE).hung_up()
    assert await outcome(ends[0]) is Outcome.RESET


async def test_nothing_comes(ends: tuple[socket.socket, socket.socket]) -> None:
    assert not Connection(ends[0], PATIENCE).hung_up()
    assert await outcome(ends[0]) is Outcome.TIMEOUT


@pytest.mark.parametrize("length", [3, len(REPLY) - 1])
async def test_cut_reply(ends: tuple[socket.socket, socket.socket], length: int) -> None:
    ends[1].sendall(REPLY[:length])
    ends[1].shutdown(socket.SHUT_WR)
    assert await outcome(ends[0]) is Outcome.TRUNCATED


async def test_stalled_reply(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].sendall(REPLY[:-1])
    assert await outcome(ends[0]) is Outcome.TRUNCATED


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
