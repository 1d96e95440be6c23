"""bpf/conntrack.bpf.c, loaded and attached.

Nothing is pinned: however the process ends, the kernel detaches and frees everything.
"""

import ctypes
import errno
import os
import time
from contextlib import ExitStack
from pathlib import Path

from drainmon.kernel import libbpf
from drainmon.kernel.btf import BTF, read_behaviour
from drainmon.kernel.wire import PORT_COUNTERS, Control, Host

OBJECT = Path(__file__).with_name("drainmon.bpf.o")
MOST_PORTS = 65536
PORTS_MEMORY = 64 << 20
"""Bytes for the counters of all ports: with 64 CPUs enough for 5,957 ports."""

CLOCK_MONOTONIC_COARSE = 6  # linux/time.h; not in Python's time
_READ_SIZE = max(1 << 18, 8 * os.sysconf("SC_PAGESIZE"))
"""The size of a read: as much as the kernel returns at once, so that it ends with a whole
record."""


class _AttachOptions(ctypes.Structure):
    """struct bpf_iter_attach_opts, with the only field of union bpf_iter_link_info in use."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("map_fd", ctypes.POINTER(ctypes.c_uint32)),
        ("length", ctypes.c_uint32),
    )


class Programs:
    """Maps by name, iterators by name, and the programs' variables. Raises OSError "cannot X: why"
    when the host cannot run them."""

    def __init__(self, path: Path = OBJECT) -> None:
        if not path.is_file():
            raise OSError(errno.ENOENT, f"cannot load {path}: not built (make build)")
        if not BTF.exists():
            raise OSError(errno.ENOTSUP, f"cannot load {path.name}: the kernel has no BTF ({BTF})")
        self.lib = libbpf.load_library()
        self.cpus = libbpf.must(self.lib.libbpf_num_possible_cpus(), "count the CPUs")
        self.behaviour = read_behaviour(BTF)
        self.control = Control()
        self._name = path.name
        with ExitStack() as stack:
            self._load(path, stack)
            self._resources = stack.pop_all()

    def _load(self, path: Path, stack: ExitStack) -> None:
        lib = self.lib
        doing = f"load {path.name}"
        self._object = libbpf.must_pointer(
            lib.bpf_object__open_file(str(path).encode(), None), doing
        )
        stack.callback(lib.bpf_object__close, self._object)
        self._describe_host()
        self._bound_ports()
        # In this order: the second program counts what the first one has not.
        tracing = ["on_state", "on_dropped_state"] if self.behaviour.preemptible else ["on_state"]
        if not self.behaviour.preemptible:
            lib.bpf_program__set_autoload(self._program("on_dropped_state"), False)
        libbpf.must(lib.bpf_object__load(self._object), doing)
        self._control_map = self.map(".bss")
        self.on_state: int = lib.bpf_program__fd(self._program("on_state"))
        for name in tracing:
            link = libbpf.must_pointer(
                lib.bpf_program__attach(self._program(name)), "attach to inet_sock_set_state"
            )
            stack.callback(lib.bpf_link__destroy, link)
        self._iterators = {
            name: self._attach_iterator(name, map_fd, stack)
            for name, map_fd in (
                ("snapshot", None),
                ("every_socket", None),
                ("sums", self.map("ports")),
                ("find_probing", None),
            )
        }

    def _attach_iterator(self, name: str, map_fd: int | None, stack: ExitStack) -> int:
        options = None
        if map_fd is not None:
            fd = ctypes.c_uint32(map_fd)
            sizes = ctypes.sizeof(_AttachOptions), ctypes.sizeof(fd)
            options = _AttachOptions(sizes[0], ctypes.pointer(fd), sizes[1])
        iterator = libbpf.must_pointer(
            self.lib.bpf_program__attach_iter(
                self._program(name), ctypes.byref(options) if options else None
            ),
            f"attach the iterator {name}",
        )
        stack.callback(self.lib.bpf_link__destroy, iterator)
        return int(self.lib.bpf_link__fd(iterator))

    def _describe_host(self) -> None:
        """Set the programs' constants: the length of a jiffy, from the resolution of the coarse
        clock, the number of CPUs, and whether tracing programs can be preempted."""
        size = ctypes.c_size_t()
        rodata = self.lib.bpf_object__find_map_by_name(self._object, b".rodata")
        value = self.lib.bpf_map__initial_value(rodata, ctypes.byref(size)) if rodata else None
        if not value or size.value != ctypes.sizeof(Host):
            libbpf.fail(f"find the constants of {self._name}", errno.EINVAL)
        host = Host.from_address(value)
        host.tick_ns = round(time.clock_getres(CLOCK_MONOTONIC_COARSE) * 1e9)
        host.cpus = self.cpus
        host.preemptible = self.behaviour.preemptible

    def _bound_ports(self) -> None:
        """Limit the ports: each takes memory on each CPU, within the daemon's memory limit."""
        each = self.cpus * PORT_COUNTERS.size
        self.ports_at_most = min(MOST_PORTS, PORTS_MEMORY // each)
        ports = self.lib.bpf_object__find_map_by_name(self._object, b"ports")
        libbpf.must(
            self.lib.bpf_map__set_max_entries(ports, self.ports_at_most), "bound the map ports"
        )

    def _program(self, name: str) -> int:
        found = self.lib.bpf_object__find_program_by_name(self._object, name.encode())
        return libbpf.must_pointer(found, f"find the program {name}")

    def map(self, name: str) -> int:
        """The file descriptor of a map."""
        found = self.lib.bpf_object__find_map_by_name(self._object, name.encode())
        return libbpf.must(self.lib.bpf_map__fd(found), f"find the map {name}")

    def set_control(self) -> None:
        """Copy `control` to the programs."""
        first = ctypes.c_uint32(0)
        result = self.lib.bpf_map_update_elem(
            self._control_map, ctypes.byref(first), ctypes.byref(self.control), 0
        )
        libbpf.must(result, f"set the variables of {self._name}")

    def iterate(self, name: str) -> list[bytes]:
        """The output of an iterator, in parts of whole records. Blocks."""
        fd = libbpf.must(
            self.lib.bpf_iter_create(self._iterators[name]), f"create the iterator {name}"
        )
        try:
            chunks = []
            while chunk := _read(fd):
                chunks.append(chunk)
            return chunks
        finally:
            os.close(fd)

    def close(self) -> None:
        """Detach and free everything."""
        self._resources.close()


def _read(fd: int) -> bytes:
    # EAGAIN: the kernel pauses after many sockets without output.
    while True:
        try:
            return os.read(fd, _READ_SIZE)
        except BlockingIOError:
            continue
