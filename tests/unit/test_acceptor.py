"""Many listening sockets, some of them flooded."""

import asyncio
import contextlib
import logging
import socket
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from drainmon.server import acceptor
from drainmon.server.acceptor import ACCEPT_SECONDS, Acceptor

FLOODED, QUEUED = 8, 400


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(4096)
        yield listener


def flood(path: Path, connections: int) -> list[socket.socket]:
    callers = [socket.socket(socket.AF_UNIX) for _ in range(connections)]
    for caller in callers:
        caller.connect(str(path))
    return callers


async def test_flooded_queues_do_not_delay_the_others(tmp_path: Path) -> None:
    taken: Counter[int] = Counter()
    served = asyncio.Event()

    def slow(number: int, connection: socket.socket, _: float) -> None:
        connection.close()
        taken[number] += 1
        time.sleep(ACCEPT_SECONDS / 20)
        if number == FLOODED:
            served.set()

    with contextlib.ExitStack() as stack:
        site = Acceptor()
        for number in range(FLOODED + 1):
            listener = stack.enter_context(listening(tmp_path / str(number)))
            site.listen(listener, partial(slow, number))
            stack.callback(site.stop, listener)
            for caller in flood(tmp_path / str(number), QUEUED if number < FLOODED else 1):
                stack.callback(caller.close)
        async with asyncio.timeout(20):
            await served.wait()
            before = dict(taken)
            while min(taken[number] for number in range(FLOODED)) < 100:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    assert max(before.values()) < QUEUED


async def test_accepting_takes_at_most_half_of_the_time(tmp_path: Path) -> None:
    spent = 0.0

    def slow(connection: socket.socket, _: float) -> None:
        nonlocal spent
        began = time.monotonic()
        connection.close()
        time.sleep(ACCEPT_SECONDS / 20)
        spent += time.monotonic() - began

    with contextlib.ExitStack() as stack:
        site = Acceptor()
        for number in range(FLOODED):
            path = tmp_path / str(number)
            listener = stack.enter_context(listening(path))
            for caller in flood(path, 400):
                stack.callback(caller.close)
            site.listen(listener, slow)
            stack.callback(site.stop, listener)
        began = time.monotonic()
        while spent < 0.15:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert spent < 0.6 * (time.monotonic() - began)


async def test_a_lack_of_descriptors_pauses_accepting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor, "SHORTAGE_REST", 0.01)
    taken: list[str] = []

    def take(connection: socket.socket, _: float) -> None:
        connection.close()
        taken.append("one")
        if len(taken) == 1:
            raise OSError(24, "Too many open files")

    with listening(tmp_path / "sock") as listener, caplog.at_level(logging.WARNING):
        site = Acceptor()
        site.listen(listener, take)
        callers = flood(tmp_path / "sock", 2)
        async with asyncio.timeout(5):
            while len(taken) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        site.stop(listener)
        for caller in callers:
            caller.close()
    (record,) = caplog.records
    assert (record.getMessage(), record.__dict__["error"]) == (
        "cannot accept",
        "Too many open files",
    )
