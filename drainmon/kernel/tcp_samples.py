"""Samples TCP connections as they open on the whole node, with the processes that open them.

Samples of the tracepoint sock:inet_sock_set_state come from perf_event_open(2), since kernel 4.16,
without BPF, BTF or headers. The kernel filters them by state and port, and keeps them in a ring for
each CPU until they are read.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import re
import struct
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from drainmon.kernel import tracefs

CATEGORY, TRACEPOINT = "sock", "inet_sock_set_state"

_SYSCALL = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}
_ONLINE = Path("/sys/devices/system/cpu/online")

# linux/perf_event.h
_TYPE_TRACEPOINT = 2
_SAMPLE = 1 << 1 | 1 << 2 | 1 << 10  # TID, TIME, RAW
_DISABLED, _USE_CLOCKID = 1 << 0, 1 << 25
_CLOCK_MONOTONIC = 1
_FLAG_FD_CLOEXEC = 8
_ENABLE, _SET_FILTER = 0x2400, 0x40082406
_RECORD_LOST, _RECORD_SAMPLE = 2, 9

_ATTRIBUTES = struct.Struct("=IIQQQQQ44xi")
"""perf_event_attr: type, size, config, sample_period, sample_type, read_format, flags, clockid."""

_RECORD = struct.Struct("=IHH")
_SAMPLE_HEADER = struct.Struct("=8xIIQI")
"""The head of a sample: pid, tid, time, and the size of the tracepoint's fields that follow."""

_PAGES = 64
_LONGEST = 256  # bytes of a record
_HEAD_AT, _TAIL_AT = 1024, 1032  # in perf_event_mmap_page

_FIELD = re.compile(r"field:[^;]*?(\w+)(?:\[\d+\])?;\s*offset:(\d+);\s*size:(\d+);")
_FORMS = {
    "skaddr": "Q", "oldstate": "i", "newstate": "i", "sport": "H", "dport": "H",
    "saddr_v6": "16s", "daddr_v6": "16s",
}  # fmt: skip

PORTS_FILTERED = 64
"""With more ports than this, connections to all ports are followed."""

SYN_SENT, SYN_RECV, ESTABLISHED = 2, 3, 1


class Transition(NamedTuple):
    """A change of a socket's state. Addresses are 16 bytes, IPv4 ones mapped; `time` is in
    monotonic seconds. `pid` is the connecting process in changes to SYN_SENT, else arbitrary."""

    time: float
    pid: int
    socket: int
    before: int
    after: int
    local_port: int
    remote_port: int
    local: bytes
    remote: bytes


class TcpSamples:
    """Samples nothing until `follow`. Raises OSError "cannot trace connections: why"."""

    def __init__(self) -> None:
        self._number, self._fields = tracefs.call_with(_find)
        self._held = ExitStack()
        self._rings: list[_Ring] = []
        self._filtered: frozenset[int] = frozenset()
        self._later: list[Transition] = []
        self._open(frozenset())  # raises when this process may not trace
        self.close()

    def close(self) -> None:
        self._rings = []
        self._filtered = frozenset()
        self._later = []
        self._held.close()

    def follow(self, ports: frozenset[int]) -> bool:
        """Sample connections to these ports, as they are opened and accepted; none: stop. Returns
        whether no sample is lost by the change."""
        if ports and ports <= self._filtered:
            return True
        wanted = self._filtered | ports if ports else ports
        self.close()
        if wanted:
            self._open(wanted)
        return False

    def _open(self, ports: frozenset[int]) -> None:
        """Open new rings: a filter can be set only once."""
        with ExitStack() as held:
            rings = []
            for cpu in _online(_ONLINE.read_text()):
                fd = _open(self._number, cpu)
                held.callback(os.close, fd)
                ring = _Ring(fd)
                held.callback(ring.close)
                text = ctypes.create_string_buffer(_filter(ports))
                _must(_libc.ioctl(fd, _SET_FILTER, text), "trace connections")
                fcntl.ioctl(fd, _ENABLE)
                rings.append(ring)
            self._held = held.pop_all()
        self._rings, self._filtered = rings, ports

    def read(self) -> tuple[list[Transition], bool]:
        """The transitions since the last call, in order of time, and whether some may be lost."""
        began = time.monotonic()
        found, self._later = self._later, []
        lost = False
        for ring in self._rings:
            for kind, record in ring.records():
                if kind == _RECORD_SAMPLE:
                    pid, _, when_ns, _ = _SAMPLE_HEADER.unpack_from(record)
                    fields = self._fields.unpack_from(record, _SAMPLE_HEADER.size)
                    found.append(Transition(when_ns / 1e9, pid, *fields))
                elif kind == _RECORD_LOST:
                    lost = True
        found.sort()
        # Transitions during this call stay: earlier ones may be in a ring that was read before.
        now = bisect_right(found, began, key=attrgetter("time"))
        found, self._later = found[:now], found[now:]
        return found, lost


class _Ring:
    """The kernel's ring for one CPU."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, (1 + _PAGES) * mmap.PAGESIZE)
        self._size = _PAGES * mmap.PAGESIZE
        # ctypes reads the number in one access: the kernel writes it concurrently.
        self._head = ctypes.c_uint64.from_buffer(self._map, _HEAD_AT)
        self._tail = ctypes.c_uint64.from_buffer(self._map, _TAIL_AT)

    def close(self) -> None:
        del self._head, self._tail
        self._map.close()

    def records(self) -> Iterator[tuple[int, bytes]]:
        head, tail = self._head.value, self._tail.value
        if head - tail > self._size - _LONGEST:
            yield _RECORD_LOST, b""  # the kernel reports a loss only with the next sample here
        written = self._copy(tail, head - tail)
        self._tail.value = head
        at = 0
        while at + _RECORD.size <= len(written):
            kind, _, size = _RECORD.unpack_from(written, at)
            if not _RECORD.size <= size <= len(written) - at:
                yield _RECORD_LOST, b""
                return
            yield kind, written[at : at + size]
            at += size

    def _copy(self, start: int, size: int) -> bytes:
        first = mmap.PAGESIZE + start % self._size
        end = mmap.PAGESIZE + self._size
        text = self._map[first : min(first + size, end)]
        return text + self._map[mmap.PAGESIZE : mmap.PAGESIZE + size - len(text)]


_libc = ctypes.CDLL(None, use_errno=True)


def _must(result: int, doing: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {doing}: {os.strerror(number)}")
    return result


def _open(number: int, cpu: int) -> int:
    attributes = ctypes.create_string_buffer(
        _ATTRIBUTES.pack(
            _TYPE_TRACEPOINT, _ATTRIBUTES.size, number, 1, _SAMPLE, 0,
            _DISABLED | _USE_CLOCKID, _CLOCK_MONOTONIC,
        )
    )  # fmt: skip
    call = _SYSCALL.get(os.uname().machine)
    if call is None:
        raise OSError(errno.ENOSYS, "cannot trace connections: not on this architecture")
    result = _libc.syscall(call, attributes, -1, cpu, -1, ctypes.c_ulong(_FLAG_FD_CLOEXEC))
    return _must(result, "trace connections")


def _find() -> tuple[int, struct.Struct]:
    """The tracepoint's number, and the layout of its fields."""
    for place in tracefs.PLACES:
        folder = place / "events" / CATEGORY / TRACEPOINT
        if folder.is_dir():
            return int((folder / "id").read_text()), parse_format((folder / "format").read_text())
    raise OSError(errno.ENOTSUP, f"cannot trace connections: no {CATEGORY}:{TRACEPOINT}")


def parse_format(text: str) -> struct.Struct:
    """The layout of the fields of `Transition` after `pid`, from a tracepoint's file `format`.
    Raises OSError."""
    found = {name: int(offset) for name, offset, _ in _FIELD.findall(text)}
    form, at = "=", 0
    for name, code in _FORMS.items():
        if found.get(name, -1) < at:
            why = f"{CATEGORY}:{TRACEPOINT} has other fields"
            raise OSError(errno.ENOTSUP, f"cannot trace connections: {why}")
        form += f"{found[name] - at}x{code}"
        at = struct.calcsize(form)
    return struct.Struct(form)


def _filter(ports: frozenset[int]) -> bytes:
    """A filter for connections that begin, and for both ends as they are established."""
    few = sorted(ports) if len(ports) <= PORTS_FILTERED else []
    to = " || ".join(f"dport == {port}" for port in few) or "dport > 0"
    at = " || ".join(f"sport == {port}" for port in few) or "sport > 0"
    opened = f"newstate == {SYN_SENT} || (oldstate == {SYN_SENT} && newstate == {ESTABLISHED})"
    accepted = f"oldstate == {SYN_RECV} && newstate == {ESTABLISHED}"
    return f"(({opened}) && ({to})) || ({accepted} && ({at}))".encode()


def _online(text: str) -> Iterator[int]:
    """The numbers in a list like 0-3,8."""
    for span in text.strip().split(","):
        first, _, last = span.partition("-")
        yield from range(int(first), int(last or first) + 1)
