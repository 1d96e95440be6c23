"""Long lists in the event loop, without keeping it from whoever else has something to do."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import TypeVar

AT_ONCE = 20
"""Pods that are read or rendered without a pause: a fraction of a millisecond."""

T = TypeVar("T")


async def in_turns(items: Iterable[T]) -> AsyncIterator[list[T]]:
    """The items, some at a time; everybody else has a turn after each such part."""
    rest = iter(items)
    while part := list(islice(rest, AT_ONCE)):
        yield part
        await asyncio.sleep(0)
