"""One HTTP/1.1 connection on a bare socket: every way in which it can fail keeps its name."""

import asyncio
import errno
import math
import socket
from types import TracebackType
from typing import Self

from bench.rig.errors import RigError
from bench.rig.outcome import Lost, Outcome

CHUNK_BYTES = 16_384
HEAD_END = b"\r\n\r\n"
UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT}
REFUSED = {errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH}


class Connection:
    """An open connection to `address`; `patience` is how long it waits for progress, in seconds.

    Its failures are `Lost`; any other OSError (no ports or files left) is the rig's own.
    """

    def __init__(self, sock: socket.socket, patience: float) -> None:
        self._socket = sock
        self._patience = patience
        self._loop = asyncio.get_running_loop()

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def hung_up(self) -> bool:
        """Whether the server has closed it, so that a careful client would not send on it again."""
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

        `last` asks the server to close. `patience` replaces the connection's own.
        Raises Lost, and RigError when the reply is not a 200.
        """
        patience = patience or self._patience
        wish = "close" if last else "keep-alive"
        request = f"GET {path} HTTP/1.1\r\nHost: pod\r\nConnection: {wish}\r\n\r\n".encode()
        head = b""
        try:
            async with asyncio.timeout(patience):
                await self._loop.sock_sendall(self._socket, request)
            while HEAD_END not in head:
                head += await self._receive(rate, patience)
            head, body = head.split(HEAD_END, 1)
            length, keep = _parse(head)
            received = len(body)
            while received < length:
                received += len(await self._receive(rate, patience))
        except TimeoutError as error:
            raise Lost(Outcome.TRUNCATED if head else Outcome.TIMEOUT, "no progress") from error
        except EOFError as error:
            raise Lost(Outcome.TRUNCATED if head else Outcome.RESET, "EOF") from error
        except ConnectionError as error:
            raise Lost(Outcome.TRUNCATED if head else Outcome.RESET, str(error)) from error
        except OSError as error:
            if error.errno not in UNREACHABLE:
                raise
            raise Lost(Outcome.TRUNCATED if head else Outcome.TIMEOUT, str(error)) from error
        return keep and not last

    async def _receive(self, rate: float, patience: float) -> bytes:
        async with asyncio.timeout(patience):
            data = await self._loop.sock_recv(self._socket, CHUNK_BYTES)
        if not data:
            raise EOFError
        if rate != math.inf:
            await asyncio.sleep(len(data) / rate)
        return data


def _parse(head: bytes) -> tuple[int, bool]:
    """The body's length in bytes and whether the server keeps the connection open."""
    status, *lines = head.decode("latin-1").split("\r\n")
    if status.split()[1] != "200":
        raise RigError(f"cannot count a reply that is not a 200: {status}")
    fields = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    if "content-length" not in fields:
        raise RigError(f"cannot tell the length of a reply: {head!r}")
    return int(fields["content-length"]), fields.get("connection", "").lower() != "close"
