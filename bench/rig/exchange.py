"""One HTTP/1.1 connection on a bare socket; every kind of failure is distinguished."""

import asyncio
import errno
import fcntl
import math
import socket
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

from bench.rig.closing import Closing
from bench.rig.errors import RigError
from bench.rig.outcome import Lost, Outcome

CHUNK_BYTES = 16_384
HEAD_END = b"\r\n\r\n"
UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT}
REFUSED = {errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH}


class Connection(Closing):
    """An open connection to `address`; `patience` is how long it waits for progress, in seconds.

    Its failures are `Lost`; any other OSError (no ports or files left) is the rig's own.
    """

    def __init__(self, sock: socket.socket, patience: float) -> None:
        self._socket = sock
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._answered = False
        self.whole_at = math.inf
        """When the last reply's last byte was here, read or not; the loop's time."""

    @classmethod
    async def open(
        cls, address: str, port: int, patience: float, receive_buffer: int | None = None
    ) -> Self:
        """Connect; a `receive_buffer` in bytes keeps the rest of a reply in the server's kernel."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            async with asyncio.timeout(patience):
                await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except OSError as error:
            sock.close()
            if isinstance(error, TimeoutError):
                raise Lost(Outcome.TIMEOUT, "no connection") from error
            if error.errno in REFUSED:
                raise Lost(Outcome.REFUSED, str(error)) from error
            raise
        except BaseException:
            sock.close()
            raise
        return cls(sock, patience)

    def close(self) -> None:
        self._socket.close()

    def hung_up(self) -> bool:
        """Whether the server has closed the connection, so that a careful client would not use it
        again."""
        try:
            return self._socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def get(
        self, path: str, *, last: bool, rate: float = math.inf, patience: float | None = None
    ) -> bool:
        """GET `path`, reading at `rate` bytes/s; whether the connection may be used again.

        `last` makes the server close. `patience` replaces the connection's own. Raises Lost, and
        RigError when the reply is not a 200.
        """
        patience = patience or self._patience
        wish = "close" if last else "keep-alive"
        with self._losses_named():
            head, body = await self._ask(path, f"Connection: {wish}", rate, patience)
            length, keep = _parse(head)
            received = len(body)
            self.whole_at = math.inf
            self._see_whole(length - received)
            while received < length:
                received += len(await self._receive(rate, patience))
                self._see_whole(length - received)
        return keep and not last

    async def stream(self, path: str, seconds: float, pause: float) -> None:
        """Upgrade at `path`, then send a line every `pause` seconds and have it echoed.

        The client ends the stream, after `seconds`. Raises Lost, and RigError when the reply is not
        a 101 or the echo differs.
        """
        with self._losses_named():
            upgrade = "Connection: Upgrade\r\nUpgrade: echo"
            head, echo = await self._ask(path, upgrade, math.inf, self._patience)
            _expect(head, "101")
            end = self._loop.time() + seconds
            number = 0
            while self._loop.time() < end:
                line = b"%d\n" % number
                await self._send(line, self._patience)
                while len(echo) < len(line):
                    echo += await self._receive(math.inf, self._patience)
                if echo != line:
                    raise RigError(f"cannot use a stream: sent {line!r}, received {echo!r}")
                echo, number = b"", number + 1
                await asyncio.sleep(pause)
            self.whole_at = self._loop.time()

    async def end(self) -> None:
        """Wait for the peer to close the connection, in any way."""
        with suppress(OSError):
            while await self._loop.sock_recv(self._socket, CHUNK_BYTES):
                pass

    @contextmanager
    def _losses_named(self) -> Iterator[None]:
        """Turn a cut reply into Lost, by how much of it had arrived."""
        self._answered = False
        try:
            yield
        except TimeoutError as error:
            raise self._lost(Outcome.TIMEOUT, "no progress") from error
        except EOFError as error:
            raise self._lost(Outcome.RESET, "EOF") from error
        except ConnectionError as error:
            raise self._lost(Outcome.RESET, str(error)) from error
        except OSError as error:
            if error.errno not in UNREACHABLE:
                raise
            raise self._lost(Outcome.TIMEOUT, str(error)) from error

    def _lost(self, unanswered: Outcome, why: str) -> Lost:
        return Lost(Outcome.TRUNCATED if self._answered else unanswered, why)

    async def _ask(
        self, path: str, fields: str, rate: float, patience: float
    ) -> tuple[bytes, bytes]:
        """The reply's head, and the part of its body that arrived with it."""
        request = f"GET {path} HTTP/1.1\r\nHost: pod\r\n{fields}\r\n\r\n"
        await self._send(request.encode(), patience)
        head = b""
        while HEAD_END not in head:
            head += await self._receive(rate, patience)
        head, body = head.split(HEAD_END, 1)
        return head, body

    def _see_whole(self, missing: int) -> None:
        # A slow reader's kernel has acknowledged bytes that the reader has yet to take.
        if self.whole_at == math.inf and (not missing or _unread(self._socket) >= missing):
            self.whole_at = self._loop.time()

    async def _send(self, data: bytes, patience: float) -> None:
        async with asyncio.timeout(patience):
            await self._loop.sock_sendall(self._socket, data)

    async def _receive(self, rate: float, patience: float) -> bytes:
        async with asyncio.timeout(patience):
            data = await self._loop.sock_recv(self._socket, CHUNK_BYTES)
        if not data:
            raise EOFError
        self._answered = True
        if rate != math.inf:
            await asyncio.sleep(len(data) / rate)
        return data


def _unread(sock: socket.socket) -> int:
    """Bytes received but not read."""
    return int.from_bytes(fcntl.ioctl(sock, termios.FIONREAD, bytes(4)), sys.byteorder)


def _parse(head: bytes) -> tuple[int, bool]:
    """The body's length in bytes and whether the server keeps the connection open."""
    lines = _expect(head, "200")
    fields = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    if "content-length" not in fields:
        raise RigError(f"cannot read the length of a reply: {head!r}")
    return int(fields["content-length"]), fields.get("connection", "").lower() != "close"


def _expect(head: bytes, status: str) -> list[str]:
    """The fields of a reply with this status."""
    line, *fields = head.decode("latin-1").split("\r\n")
    if line.split()[1] != status:
        raise RigError(f"cannot count a reply that is not a {status}: {line}")
    return fields
