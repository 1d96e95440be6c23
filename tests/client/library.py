"""The client's pure parts by ctypes. A read beyond the input hits a guard page and crashes."""

import ctypes
import mmap
from pathlib import Path

ARENA = 1 << 20
OUTPUT = 1 << 18
PAGE = mmap.PAGESIZE
PROT_NONE = 0

ACTIONS = ("look", "roll", "drained", "deadline", "stuck")
RESULTS = ("none", "drained", "deadline", "gone", "cut", "stuck")
STANDINGS = ("finished", "unused", "unreachable", "in flight")


class Address(ctypes.Structure):
    """struct address of address.h."""

    _fields_ = (("bytes", ctypes.c_uint8 * 16), ("v6", ctypes.c_bool), ("port", ctypes.c_uint16))


class Row(ctypes.Structure):
    """struct row of row.h; times in milliseconds."""

    _fields_ = (
        ("local", Address),
        ("remote", Address),
        ("state", ctypes.c_uint),
        ("unsent", ctypes.c_uint32),
        ("unread", ctypes.c_uint32),
        ("inode", ctypes.c_uint64),
        ("retransmits", ctypes.c_uint),
        ("probes_out", ctypes.c_uint),
        ("rto", ctypes.c_int64),
        ("counted", ctypes.c_bool),
        ("bytes_received", ctypes.c_uint64),
        ("bytes_sent", ctypes.c_uint64),
        ("idle_in", ctypes.c_int64),
        ("idle_out", ctypes.c_int64),
        ("idle_ack", ctypes.c_int64),
    )


class Library:
    """Typed calls into shim.c."""

    def __init__(self, path: Path) -> None:
        self._shim = ctypes.CDLL(str(path))
        self._shim.shim_phase.restype = ctypes.c_char_p
        self._shim.shim_walk.restype = ctypes.c_size_t
        self._shim.shim_number.restype = ctypes.c_long
        self._shim.shim_in_flight.restype = ctypes.c_uint64
        self._shim.shim_row_size.restype = ctypes.c_size_t
        assert self._shim.shim_row_size() == ctypes.sizeof(Row)
        self._shim.shim_arrivals.restype = ctypes.c_uint64
        self._shim.shim_look_pause.restype = ctypes.c_int64
        self._out = ctypes.create_string_buffer(OUTPUT)
        self._map = mmap.mmap(-1, ARENA + PAGE)
        self._arena = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        if libc.mprotect(self._arena + ARENA, PAGE, PROT_NONE) != 0:
            raise OSError(ctypes.get_errno(), "cannot guard the input")

    def _bytes(self, data: bytes) -> tuple[ctypes.c_void_p, ctypes.c_size_t]:
        start = self._arena + ARENA - len(data)
        ctypes.memmove(start, data, len(data))
        return ctypes.c_void_p(start), ctypes.c_size_t(len(data))

    def _output(self) -> tuple[ctypes.Array[ctypes.c_char], ctypes.c_size_t]:
        self._out[0] = b"\0"
        return self._out, ctypes.c_size_t(OUTPUT)

    def duration(self, text: str) -> int | None:
        """Milliseconds; None when the text is not a duration."""
        time = ctypes.c_int64()
        good = self._shim.shim_duration(text.encode(), ctypes.byref(time))
        return time.value if good else None

    def is_object(self, data: bytes) -> bool:
        return bool(self._shim.shim_is_object(*self._bytes(data)))

    def find(self, data: bytes, key: str) -> bytes | None:
        """The bytes of the key's value."""
        at, length = ctypes.c_size_t(), ctypes.c_size_t()
        found = self._shim.shim_find(
            *self._bytes(data), key.encode(), ctypes.byref(at), ctypes.byref(length)
        )
        return data[at.value : at.value + length.value] if found else None

    def walk(self, data: bytes) -> int:
        return int(self._shim.shim_walk(*self._bytes(data)))

    def millis(self, data: bytes) -> int | None:
        time = ctypes.c_int64()
        good = self._shim.shim_millis(*self._bytes(data), ctypes.byref(time))
        return time.value if good else None

    def string(self, data: bytes) -> str | None:
        size = self._shim.shim_string(*self._bytes(data), *self._output())
        return self._out.value.decode() if size >= 0 else None

    def answer(self, data: bytes) -> tuple[str, list[str]] | None:
        """The result, then progress and remaining connections, a line each. None: garbage."""
        result = self._shim.shim_answer(*self._bytes(data), *self._output())
        said = self._out.value.decode().rstrip("\n").split("\n")
        return (RESULTS[result], said) if result >= 0 else None

    def http(self, data: bytes, chunk: int) -> str:
        self._shim.shim_http(*self._bytes(data), ctypes.c_size_t(chunk), *self._output())
        return self._out.value.decode()

    def row(self, data: bytes) -> str | None:
        good = self._shim.shim_row(*self._bytes(data), *self._output())
        return self._out.value.decode() if good else None

    def passive_opens(self, data: bytes) -> int | None:
        count = ctypes.c_uint64()
        good = self._shim.shim_passive_opens(*self._bytes(data), ctypes.byref(count))
        return count.value if good else None

    def in_flight(self, data: bytes, chunk: int = 1 << 20, listener: int = 0) -> int:
        return int(
            self._shim.shim_in_flight(
                *self._bytes(data), ctypes.c_size_t(chunk), ctypes.c_uint64(listener)
            )
        )

    def standing(self, row: Row, unreachable_after: int) -> tuple[str, bool]:
        """How the connection stands, and whether it seems to have sent no request."""
        unrequested = ctypes.c_int()
        standing = self._shim.shim_standing(
            ctypes.byref(row), ctypes.c_int64(unreachable_after), ctypes.byref(unrequested)
        )
        return STANDINGS[standing], bool(unrequested.value)

    def diag(self, data: bytes) -> list[str]:
        """The parsed messages of one receive, a line each."""
        self._shim.shim_diag(*self._bytes(data), *self._output())
        return self._out.value.decode().splitlines()

    def diag_request(self, family: int, mptcp: bool, states: int) -> bytes:
        size = self._shim.shim_diag_request(family, mptcp, ctypes.c_uint32(states), self._out)
        return self._out.raw[:size]

    def mptcp(self, closing: list[Row], subflow: Row) -> tuple[int, int]:
        """State and inode that decide how a subflow stands, beside these MPTCP sockets."""
        rows = (Row * len(closing))(*closing)
        inode = ctypes.c_uint64()
        state = self._shim.shim_mptcp(
            rows, len(closing), ctypes.byref(subflow), ctypes.byref(inode)
        )
        return int(state), inode.value

    def gateway(self, line: bytes, v6: bool) -> str | None:
        """The gateway of a default route; None for any other line."""
        good = self._shim.shim_gateway(*self._bytes(line), v6, *self._output())
        return self._out.value.decode() if good else None

    def peers(self, text: str, address: bytes) -> bool | None:
        """Whether a list of peers covers an address of 16 bytes; None when it is not a list of
        peers."""
        covers = ctypes.c_int()
        if self._shim.shim_peers(text.encode(), address, ctypes.byref(covers)) != 0:
            return None
        assert covers.value >= 0, "an IPv4 address and its mapped form differ"
        return bool(covers.value)

    def arrivals(
        self,
        data: bytes,
        opens: int,
        during: int = 0,
        *,
        peers: str = "",
        ports: str = "",
        nodes: str = "",
        first: bool = False,
    ) -> int:
        """How many passive opens one look reports without ignored ones: of `opens` ever, `during`
        while the table was read."""
        texts = peers.encode(), ports.encode(), nodes.encode()
        return int(
            self._shim.shim_arrivals(
                *self._bytes(data),
                *texts,
                ctypes.c_uint64(opens),
                ctypes.c_uint64(during),
                first,
            )
        )

    def number(self, data: bytes) -> int:
        return int(self._shim.shim_number(*self._bytes(data)))

    def parent(self, data: bytes) -> int:
        return int(self._shim.shim_parent(*self._bytes(data)))

    def settle(
        self,
        *,
        timeout: int = 25_000,
        min_wait: int = 5_000,
        quiet: int = 1_500,
        exit_at: int = 0,
        roll: bool = True,
        now: int = 0,
        rolls: int = 0,
        rolled: int = 0,
    ) -> None:
        """Begin a drain; all times in milliseconds."""
        i64, u64 = ctypes.c_int64, ctypes.c_uint64
        self.late(0, 0)
        self._shim.shim_settle(
            i64(timeout),
            i64(min_wait),
            i64(quiet),
            u64(exit_at),
            roll,
            i64(now),
            u64(rolls),
            i64(rolled),
        )

    def step(
        self,
        now: int,
        in_flight: int = 0,
        arrivals: int = 0,
        udp_workers: int = 0,
        *,
        udp_told: bool = False,
        listens: bool = True,
        lives: bool = True,
    ) -> str:
        """One look of the drain at the pod; the next action, or how the drain has ended."""
        i64, u64 = ctypes.c_int64, ctypes.c_uint64
        action = self._shim.shim_step(
            i64(now), u64(in_flight), u64(arrivals), u64(udp_workers), udp_told, listens, lives
        )
        return ACTIONS[action]

    def late(self, count: int, since: int) -> None:
        """Set how many connections in flight of the next steps were opened after min_wait, and when
        the first of them was."""
        self._shim.shim_late(ctypes.c_uint64(count), ctypes.c_int64(since))

    def newcomers(self, now: int) -> str | None:
        """The addition to a deadline's reason; None when no more clients are sent to the pod."""
        added = self._shim.shim_newcomers(ctypes.c_int64(now), *self._output())
        return self._out.value.decode().removeprefix("; ") if added else None

    def look_pause(self, used_ns: int) -> int:
        return int(self._shim.shim_look_pause(ctypes.c_int64(used_ns)))

    def rolled(self) -> None:
        self._shim.shim_rolled()

    def roll_skipped(self) -> None:
        self._shim.shim_roll_skipped()

    def roll_failed(self) -> None:
        self._shim.shim_roll_failed()

    def stuck(self) -> None:
        """nginx's workers do not react."""
        self._shim.shim_stuck()

    @property
    def rolls(self) -> int:
        return int(self._shim.shim_rolls())

    @property
    def phase(self) -> str:
        return bytes(self._shim.shim_phase()).decode()

    def reason(self, now: int) -> str:
        """Why the drain did not end at the last step."""
        self._shim.shim_reason(ctypes.c_int64(now), *self._output())
        return self._out.value.decode()
