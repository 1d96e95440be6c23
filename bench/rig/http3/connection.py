"""An HTTP/3 connection with the interface of bench.rig.exchange's Connection."""

import asyncio
import math
import socket
import ssl
from contextlib import suppress
from typing import Self

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import (
    NetworkAddress,
    QuicConnection,
)
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StreamDataReceived, StreamReset
from aioquic.quic.packet import STATELESS_RESET_TOKEN_SIZE

from bench.rig.closing import Closing
from bench.rig.errors import RigError
from bench.rig.http3.goaway import ServerStreams
from bench.rig.outcome import Disclaimed, Lost, Outcome

IDLE_SECONDS = 3600.0
"""Large: the lower of the client's and the server's idle timeout counts."""


class Http3Connection(Closing):
    """An open connection to `address`; `patience` is how long it waits for progress, in seconds."""

    def __init__(self, protocol: "_Protocol", patience: float) -> None:
        self._protocol = protocol
        self._patience = patience
        self.whole_at = math.inf
        """When the last reply's last byte was here; the loop's time."""

    @classmethod
    async def open(cls, address: str, port: int, patience: float) -> Self:
        """Shake hands. Raises Lost when that takes longer than `patience`."""
        configuration = QuicConfiguration(
            alpn_protocols=H3_ALPN,
            verify_mode=ssl.CERT_NONE,
            server_name="pod",
            idle_timeout=IDLE_SECONDS,
        )
        quic = QuicConnection(configuration=configuration)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Protocol(quic), family=family
        )
        connection = cls(protocol, patience)
        try:
            protocol.connect((address, port))
            async with asyncio.timeout(patience):
                await protocol.wait_connected()
        except (TimeoutError, ConnectionError) as error:
            connection.close()
            raise Lost(Outcome.REFUSED, protocol.end or "no connection") from error
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        self._protocol.close()

    def hung_up(self) -> bool:
        """Whether the server has announced that it takes no more requests on the connection."""
        return bool(self._protocol.end) or self._protocol.server.goaway is not None

    async def get(
        self, path: str, *, last: bool, rate: float = math.inf, patience: float | None = None
    ) -> bool:
        """GET `path`; whether the connection may be used again.

        The reply comes as fast as it is sent: the server keeps the `rate`. Raises Lost, Disclaimed,
        and RigError when the reply is not a 200.
        """
        protocol = self._protocol
        protocol.request(path)
        while not protocol.complete:
            protocol.changed.clear()
            protocol.raise_if_over()
            try:
                async with asyncio.timeout(patience or self._patience):
                    await protocol.changed.wait()
            except TimeoutError as error:
                raise protocol.lost(Outcome.TIMEOUT, "no progress") from error
        self.whole_at = asyncio.get_running_loop().time()
        protocol.expect_whole()
        return not last and not self.hung_up()

    async def end(self) -> None:
        """Wait for the peer to close the connection, in any way."""
        with suppress(ConnectionError):
            await self._protocol.wait_closed()


class _Protocol(QuicConnectionProtocol):
    """One request at a time, and its outcome."""

    def __init__(self, quic: QuicConnection) -> None:
        super().__init__(quic)
        self._http = H3Connection(quic)
        self._stream = -1
        self._head: dict[bytes, bytes] = {}
        self._received = 0
        self._reset = ""
        self.complete = False
        self.changed = asyncio.Event()
        self.server = ServerStreams()
        self.end = ""
        """How the connection has ended; empty before that."""

    def request(self, path: str) -> None:
        self._stream = self._quic.get_next_available_stream_id()
        self._head, self._received, self._reset, self.complete = {}, 0, "", False
        fields = {":method": "GET", ":scheme": "https", ":authority": "pod", ":path": path}
        head = [(name.encode(), value.encode()) for name, value in fields.items()]
        self._http.send_headers(self._stream, head, end_stream=True)
        self.transmit()

    def raise_if_over(self) -> None:
        if self.server.goaway is not None and self._stream >= self.server.goaway:
            raise Disclaimed
        if why := self._reset or self.end:
            raise self.lost(Outcome.RESET, why)

    def expect_whole(self) -> None:
        status, length = self._head[b":status"], int(self._head.get(b"content-length", b"-1"))
        if status != b"200":
            raise RigError(f"cannot count a reply that is not a 200: {status.decode()}")
        if self._received != length:
            raise self.lost(Outcome.RESET, f"{self._received} of {length} bytes")

    def lost(self, unanswered: Outcome, why: str) -> Lost:
        return Lost(Outcome.TRUNCATED if self._head else unanswered, why)

    def datagram_received(self, data: bytes | str, addr: NetworkAddress) -> None:
        # RFC 9000, 10.3: the connection is over. aioquic does not check.
        known = (self._quic._peer_cid, *self._quic._peer_cid_available)
        tokens = {cid.stateless_reset_token for cid in known} - {b""}
        if data[-STATELESS_RESET_TOKEN_SIZE:] in tokens:
            self.end = "stateless reset"
            self.changed.set()
        else:
            super().datagram_received(data, addr)

    def quic_event_received(self, event: QuicEvent) -> None:
        match event:
            case ConnectionTerminated():
                self.end = f"closed with {event.error_code:#x} {event.reason_phrase}".strip()
                assert self._transport
                self._loop.call_soon(self._transport.close)
            case StreamReset() if event.stream_id == self._stream:
                self._reset = f"stream reset with {event.error_code:#x}"
            case StreamDataReceived() if event.stream_id % 4 == 3:  # the server's, unidirectional
                self.server.feed(event.stream_id, event.data)
        for message in self._http.handle_event(event):
            if (
                isinstance(message, HeadersReceived | DataReceived)
                and message.stream_id == self._stream
            ):
                self._hear(message)
        self.changed.set()

    def _hear(self, message: HeadersReceived | DataReceived) -> None:
        if isinstance(message, HeadersReceived):
            self._head |= dict(message.headers)
        else:
            self._received += len(message.data)
        self.complete = message.stream_ended
