"""The program of bpf/conntrack.bcc.c, compiled by bcc, loaded and attached.

Nothing is pinned: however the process ends, the kernel detaches and frees everything.
"""

import atexit
import ctypes
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from drainmon.kernel import bcc_headers, bcc_library, tracefs
from drainmon.kernel.fdinfo import missed_runs
from drainmon.kernel.process_names import LONGEST_NAME

PROGRAM = Path(__file__).with_name("conntrack.bcc.c")
CATEGORY, TRACEPOINT = "sock", "inet_sock_set_state"

ANY_ADDRESS = bytes(16)

_FUNCTION = f"tracepoint__{CATEGORY}__{TRACEPOINT}".encode()
_BUFFER_PAGES = 4  # for each CPU: hundreds of events


class Place(ctypes.Structure):
    """struct place: a local address in 16 bytes, IPv4 ones mapped, and port."""

    _fields_ = (
        ("address", ctypes.c_uint8 * 16),
        ("port", ctypes.c_uint16),
        ("pad", ctypes.c_uint16),
    )

    @classmethod
    def of(cls, address: bytes, port: int) -> "Place":
        """The place of an address and a port."""
        return cls((ctypes.c_uint8 * 16)(*address), port)


class Name(ctypes.Structure):
    """struct name: a process's name, cut as by the kernel and padded with zeros."""

    _fields_ = (("comm", ctypes.c_char * 16),)

    @classmethod
    def of(cls, name: str) -> "Name":
        """The name as the kernel keeps it."""
        return cls(os.fsencode(name)[:LONGEST_NAME])


ChangeHandler = Callable[[bytes, int], None]
"""Called with a local address and port."""

_LISTENER = 0
"""The port number of watches for new listeners."""


class BccConntrack:
    """The loaded program, which announces listeners of processes with one of the names. Raises
    OSError "cannot X: why" when the host cannot run it. Compiling takes a third of a second."""

    def __init__(
        self,
        names: Iterable[str],
        on_listener: Callable[[], None],
        on_change: ChangeHandler,
        path: Path = PROGRAM,
    ) -> None:
        if not path.is_file():
            raise OSError(errno.ENOENT, f"cannot load {path}: not built (make build)")
        headers = bcc_headers.find()
        self._bcc = bcc_library.load()
        # bcc changes its working directory to the headers: that thread has one of its own.
        self._bpf: Any = tracefs.call_with(lambda: self._load(path, headers))
        _give_back_memory()
        try:
            self._open(on_listener, on_change)
            for name in names:
                self._bpf[b"names"][Name.of(name)] = ctypes.c_uint8(1)
        except Exception as error:
            self.close()
            raise OSError(f"cannot load {path.name}: {error}") from error

    def _load(self, path: Path, headers: bcc_headers.Headers) -> Any:
        if not tracefs.has_event(CATEGORY, TRACEPOINT):
            why = f"the kernel has no tracepoint {CATEGORY}:{TRACEPOINT} (Linux 4.16 or later)"
            raise OSError(errno.ENOTSUP, f"cannot use bcc: {why}")
        with _kernel_source(headers.source):
            try:
                return self._bcc.BPF(text=path.read_bytes(), cflags=headers.flags())
            except Exception as error:  # bcc has no class of its own; the compiler writes to stderr
                message = f"cannot load {path.name} with the headers of {headers.build}: {error}"
                raise OSError(message) from error

    def _open(self, on_listener: Callable[[], None], on_change: ChangeHandler) -> None:
        def on_record(_cpu: int, data: int, _size: int) -> None:
            place = Place.from_address(data)
            if place.port == _LISTENER:
                on_listener()
            else:
                on_change(bytes(place.address), place.port)

        self._bpf[b"events"].open_perf_buffer(on_record, page_cnt=_BUFFER_PAGES)
        self._ports = self._bpf[b"ports"]
        self._watches = self._bpf[b"watches"]
        self._lost = self._bpf[b"lost"]

    def close(self) -> None:
        """Detach and free everything."""
        self._bpf.cleanup()
        atexit.unregister(self._bpf.cleanup)

    def event_fds(self) -> list[int]:
        """One descriptor per CPU, readable when events wait for `consume_events`."""
        return [self._bcc.lib.perf_reader_fd(reader) for reader in self._bpf.perf_buffers.values()]

    def consume_events(self) -> None:
        """Pass every waiting event to the handler given at construction."""
        # Not perf_buffer_poll: after the event loop's poll it finds nothing.
        self._bpf.perf_buffer_consume()

    def changed(self, port: int) -> float:
        """When something last changed on a local port in any namespace, in monotonic seconds; 0:
        never since the program was loaded."""
        return float(self._ports[port].changed_ns / 1e9)

    def accepted(self, port: int) -> float:
        """When the last passive open on the port was, in the same form."""
        return float(self._ports[port].accepted_ns / 1e9)

    def watch(self, address: bytes, port: int) -> None:
        """Request one call at the next change; call `watch` again after that. `ANY_ADDRESS` is
        watched separately."""
        try:
            self._watches[Place.of(address, port)] = ctypes.c_uint32(0)
        except Exception as error:
            raise OSError(f"cannot watch port {port}: {error}") from error

    def unwatch(self, address: bytes, port: int) -> None:
        """Stop the calls."""
        with suppress(KeyError):
            del self._watches[Place.of(address, port)]

    def watch_listeners(self) -> None:
        """Request one call at the next new listener; call this again after that."""
        self.watch(ANY_ADDRESS, _LISTENER)

    def lost(self) -> int:
        """The number of events for which the buffer had no room."""
        return int(self._lost[0].value)

    def missed(self) -> int:
        """The number of runs that the kernel dropped because they interrupted another program on
        their CPU; recent kernels count them."""
        return missed_runs(self._bpf.funcs[_FUNCTION].fd)


def _give_back_memory() -> None:
    """Return 40 MB of the compiler's to the kernel, which glibc's allocator would keep."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


@contextmanager
def _kernel_source(folder: Path) -> Iterator[None]:
    """Set the folder of the headers for bcc, which reads it from the environment only."""
    before = os.environ.get(bcc_headers.VARIABLE)
    os.environ[bcc_headers.VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[bcc_headers.VARIABLE]
        else:
            os.environ[bcc_headers.VARIABLE] = before
