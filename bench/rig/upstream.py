"""The server behind nginx: /slow-upstream?delay=SECONDS answers after the delay, upgrades echo."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nslow\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


@asynccontextmanager
async def serve(port: int) -> AsyncIterator[None]:
    """Listen on every IPv4 address of this network namespace until the block ends."""
    server = await asyncio.start_server(_answer, "0.0.0.0", port)  # noqa: S104 - a separate netns
    try:
        yield
    finally:
        server.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # An nginx that is being killed closes at any moment: its clients report the loss.
    with suppress(OSError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        if b"\r\nUpgrade: echo\r\n" in head:
            await _echo(reader, writer)
        else:
            delay = re.search(rb"delay=([0-9.]+)", head)
            await asyncio.sleep(float(delay[1]) if delay else 0.0)
            writer.write(REPLY)
        await writer.drain()
    writer.close()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(SWITCH)
    while data := await reader.read(1024):
        writer.write(data)
        await writer.drain()
