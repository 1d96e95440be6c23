"""GOAWAY as a server sends it (RFC 9114, 5.2); aioquic skips it."""

from aioquic._buffer import Buffer, BufferReadError

CONTROL_STREAM = 0x00
GOAWAY = 0x07


class ServerStreams:
    """The unidirectional streams that a server opens; one of them is its control stream."""

    def __init__(self) -> None:
        self._control: int | None = None
        self._others: set[int] = set()
        self._unread = b""
        self.goaway: int | None = None
        """The first stream whose request the server will not act on: it may be sent again."""

    def feed(self, stream_id: int, data: bytes) -> None:
        """Read a stream's next bytes."""
        if data and stream_id not in self._others and stream_id != self._control:
            # The type comes first; existing types take one byte.
            if data[0] == CONTROL_STREAM:
                self._control, data = stream_id, data[1:]
            else:
                self._others.add(stream_id)
        if stream_id == self._control:
            self._unread = self._read_frames(self._unread + data)

    def _read_frames(self, data: bytes) -> bytes:
        """The unread rest: the beginning of a frame."""
        buffer, whole = Buffer(data=data), 0
        try:
            while True:
                kind = buffer.pull_uint_var()
                payload = buffer.pull_bytes(buffer.pull_uint_var())
                whole = buffer.tell()
                if kind == GOAWAY:
                    self.goaway = Buffer(data=payload).pull_uint_var()
        except BufferReadError:
            return data[whole:]
