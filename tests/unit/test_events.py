"""An error while reading events breaks the source once, and does not busy the loop."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from drainmon.sources.events import Events


@pytest.fixture
def readable() -> Iterator[int]:
    """A file descriptor that is always readable."""
    reader, writer = os.pipe()
    os.write(writer, b"x")
    yield reader
    os.close(reader)
    os.close(writer)


async def turns_of_the_loop(number: int = 10) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_events_are_consumed_until_closed(readable: int) -> None:
    consumed = []
    events = Events([readable], lambda: consumed.append(1))
    await turns_of_the_loop()
    assert consumed
    events.check()
    events.close()
    before = len(consumed)
    await turns_of_the_loop()
    assert len(consumed) == before


async def test_a_failure_is_raised_at_every_check(readable: int) -> None:
    tried = []

    def fail() -> None:
        tried.append(1)
        raise OSError(5, "cannot read the ring buffer: Input/output error")

    events = Events([readable], fail)
    await turns_of_the_loop()
    assert len(tried) == 1
    for _ in range(2):
        with pytest.raises(OSError, match="cannot read the ring buffer"):
            events.check()
    events.close()
