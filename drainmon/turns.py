"""Long lists processed in the event loop without holding up its other tasks."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import TypeVar

AT_ONCE = 20
"""Pods that are read or rendered without a pause, in a fraction of a millisecond."""

T = TypeVar("T")


async def in_turns(items: Iterable[T]) -> AsyncIterator[list[T]]:
    """The items in parts; other tasks run after each part."""
    remaining = iter(items)
    while part := list(islice(remaining, AT_ONCE)):
        yield part
        await asyncio.sleep(0)
