"""The programs of bpf/conntrack.bpf.c, loaded and attached: counters, wake-ups, snapshots.

Nothing is pinned: when the process ends, however it ends, the kernel detaches
and frees everything.
"""

import ctypes
import errno
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from drainmon.kernel import libbpf
from drainmon.kernel.events import EventHandler, EventReader
from drainmon.kernel.exemptions import Exemptions, Prefix
from drainmon.kernel.fdinfo import missed_runs
from drainmon.kernel.wire import (
    PORT_COUNTERS,
    PORT_KEY,
    Control,
    LostPlace,
    PortCounters,
    PortKey,
    Watch,
)

OBJECT = Path(__file__).with_name("drainmon.bpf.o")
BTF = Path("/sys/kernel/btf/vmlinux")
CLOCK_MONOTONIC_COARSE = 6  # linux/time.h; not in Python's time
_BPF_NOEXIST = 1  # linux/bpf.h
_READ_SIZE = 1 << 18
_BATCH = 2048
"""Entries of the map of ports that are read at once."""


class Conntrack:
    """The loaded programs. Raises OSError "cannot X: why" when the host cannot run them."""

    def __init__(self, on_event: EventHandler, path: Path = OBJECT) -> None:
        if not path.is_file():
            raise OSError(errno.ENOENT, f"cannot load {path}: not built (make build)")
        if not BTF.exists():
            raise OSError(errno.ENOTSUP, f"cannot load {path.name}: the kernel has no BTF ({BTF})")
        self._lib = libbpf.load_library()
        with ExitStack() as stack:
            self._load(path, stack)
            self._events = EventReader(self._lib, self._map_fd("events"), on_event)
            stack.callback(self._events.close)
            self._resources = stack.pop_all()

    def _load(self, path: Path, stack: ExitStack) -> None:
        lib = self._lib
        doing = f"load {path.name}"
        self._object = libbpf.must_pointer(
            lib.bpf_object__open_file(str(path).encode(), None), doing
        )
        stack.callback(lib.bpf_object__close, self._object)
        self._set_tick()
        libbpf.must(lib.bpf_object__load(self._object), doing)
        self._ports = self._map_fd("ports")
        self._watches = self._map_fd("watches")
        self._lost = self._map_fd("lost")
        self._exemptions = Exemptions(
            lib, self._map_fd("probing_processes"), self._map_fd("ignored_peers")
        )
        self._control_map = self._map_fd(".bss")
        self._control = Control()
        self._watched: set[tuple[int, int]] = set()
        on_state = self._program("on_state")
        self._on_state = lib.bpf_program__fd(on_state)
        link = libbpf.must_pointer(
            lib.bpf_program__attach(on_state), "attach to inet_sock_set_state"
        )
        stack.callback(lib.bpf_link__destroy, link)
        self._snapshot_fd = self._attach_iterator("snapshot", "iter/tcp", stack)
        self._find_probing_fd = self._attach_iterator("find_probing", "iter/task_file", stack)

    def _attach_iterator(self, program: str, target: str, stack: ExitStack) -> int:
        iterator = libbpf.must_pointer(
            self._lib.bpf_program__attach_iter(self._program(program), None), f"attach {target}"
        )
        stack.callback(self._lib.bpf_link__destroy, iterator)
        return int(self._lib.bpf_link__fd(iterator))

    def _set_tick(self) -> None:
        """Tell the programs how long a jiffy is: the resolution of the coarse clock."""
        size = ctypes.c_size_t()
        rodata = self._lib.bpf_object__find_map_by_name(self._object, b".rodata")
        value = self._lib.bpf_map__initial_value(rodata, ctypes.byref(size)) if rodata else None
        if not value or size.value != ctypes.sizeof(ctypes.c_uint64):
            libbpf.fail("find tick_ns in drainmon.bpf.o", errno.EINVAL)
        tick = time.clock_getres(CLOCK_MONOTONIC_COARSE)
        ctypes.c_uint64.from_address(value).value = round(tick * 1e9)

    def set_seeded(self) -> None:
        """From now on connections that only a snapshot finds count as accepted: they are not old,
        their events were missed."""
        self._control.seeded = 1
        self._set_control()

    def find_probes(self, hosts: Iterable[int], names: Iterable[str]) -> None:
        """Take connections from processes of these names, in these namespaces (inodes, two at the
        most), for probes: coming ones, and those that are there and on which nothing is on its way
        once their other end is listed. Blocks while every open file of the node is looked at."""
        self._exemptions.add_processes(names)
        inodes = [*hosts, 0, 0][:2]
        self._control.host_netns = type(self._control.host_netns)(*inodes)
        self._control.probing = 1
        self._set_control()
        self._iterate(self._find_probing_fd, "iter/task_file")

    def ignore(
        self, pod: int, inode: int, ports: Iterable[int], prefixes: Iterable[Prefix]
    ) -> None:
        """Passive opens by these peers on these ports do not count as arrivals, others of the pod
        do; `pod` is a number of the caller's. Raises OSError when there are too many."""
        try:
            self._exemptions.ignore(pod, inode, ports, prefixes)
        finally:
            if self._control.ignoring != self._exemptions.ignoring:
                self._control.ignoring = self._exemptions.ignoring
                self._set_control()

    def _set_control(self) -> None:
        first = ctypes.c_uint32(0)
        result = self._lib.bpf_map_update_elem(
            self._control_map, ctypes.byref(first), ctypes.byref(self._control), 0
        )
        libbpf.must(result, "set the variables of drainmon.bpf.o")

    def _map_fd(self, name: str) -> int:
        found = self._lib.bpf_object__find_map_by_name(self._object, name.encode())
        return libbpf.must(self._lib.bpf_map__fd(found), f"find the map {name}")

    def _program(self, name: str) -> int:
        found = self._lib.bpf_object__find_program_by_name(self._object, name.encode())
        return libbpf.must_pointer(found, f"find the program {name}")

    def close(self) -> None:
        """Detach and free everything."""
        self._resources.close()

    def events_fd(self) -> int:
        """Readable when events wait for `consume_events`."""
        return self._events.fd

    def consume_events(self) -> None:
        """Hand every waiting event to the handler given at construction."""
        self._events.consume()

    def ports(self) -> Iterator[tuple[int, int]]:
        """Every (netns inode, local port) that has counters."""
        key, following = None, PortKey()
        while True:
            result = self._lib.bpf_map_get_next_key(
                self._ports, ctypes.byref(key) if key else None, ctypes.byref(following)
            )
            if result == -errno.ENOENT:
                return
            libbpf.must(result, "list the map ports")
            key = PortKey(following.netns, following.port)
            yield key.netns, key.port

    def counters(self, inode: int, port: int) -> PortCounters | None:
        """The counters of a port, None when it never listened."""
        key, value = PortKey(inode, port), PortCounters()
        result = self._lib.bpf_map_lookup_elem(self._ports, ctypes.byref(key), ctypes.byref(value))
        if result == -errno.ENOENT:
            return None
        libbpf.must(result, "read the map ports")
        return value

    def all_counters(self) -> dict[tuple[int, ...], tuple[int, ...]]:
        """The counters of every port that ever listened, as PORT_COUNTERS has them, by netns inode
        and local port: in few system calls, not of one moment."""
        found: dict[tuple[int, ...], tuple[int, ...]] = {}
        position = ctypes.c_uint32()
        keys = ctypes.create_string_buffer(_BATCH * PORT_KEY.size)
        values = ctypes.create_string_buffer(_BATCH * PORT_COUNTERS.size)
        first, result = True, 0
        while result != -errno.ENOENT:
            count = ctypes.c_uint32(_BATCH)
            result = self._lib.bpf_map_lookup_batch(
                self._ports,
                None if first else ctypes.byref(position),
                ctypes.byref(position),
                keys,
                values,
                ctypes.byref(count),
                None,
            )
            if result != -errno.ENOENT:
                libbpf.must(result, "read the map ports")
            first = False
            read = (
                layout.iter_unpack(memoryview(buffer)[: count.value * layout.size])
                for layout, buffer in ((PORT_KEY, keys), (PORT_COUNTERS, values))
            )
            found.update(zip(*read, strict=True))
        return found

    def add_port(self, inode: int, port: int) -> None:
        """Count on a port although nobody has seen it listen. Raises OSError when there is no
        room for it."""
        key, value = PortKey(inode, port), PortCounters()
        result = self._lib.bpf_map_update_elem(
            self._ports, ctypes.byref(key), ctypes.byref(value), _BPF_NOEXIST
        )
        if result == -errno.E2BIG:
            raise OSError(errno.ENOSPC, f"cannot count port {port}: the map of ports is full")
        if result != -errno.EEXIST:
            libbpf.must(result, f"count port {port}")

    def forget_port(self, inode: int, port: int) -> None:
        """Free the counters of a port that nobody uses any more."""
        self._delete(self._ports, PortKey(inode, port), "ports")

    def watch(self, inode: int, port: int) -> None:
        """Ask for one CHANGE event at the port's next change; again after each event."""
        key, value = PortKey(inode, port), Watch(0)
        result = self._lib.bpf_map_update_elem(
            self._watches, ctypes.byref(key), ctypes.byref(value), 0
        )
        libbpf.must(result, f"watch port {port}")
        self._watched.add((inode, port))
        self._set_watching()

    def unwatch(self, inode: int, port: int) -> None:
        """No more CHANGE events for the port."""
        self._watched.discard((inode, port))
        self._set_watching()
        self._delete(self._watches, PortKey(inode, port), "watches")

    def _set_watching(self) -> None:
        if self._control.watching != bool(self._watched):
            self._control.watching = bool(self._watched)
            self._set_control()

    def _delete(self, map_fd: int, key: PortKey, name: str) -> None:
        result = self._lib.bpf_map_delete_elem(map_fd, ctypes.byref(key))
        if result != -errno.ENOENT:
            libbpf.must(result, f"remove an entry of the map {name}")

    def lost(self) -> dict[LostPlace, int]:
        """How often something could not be recorded, by place."""
        counts = {}
        for place in LostPlace:
            key, value = ctypes.c_uint32(place), ctypes.c_uint64()
            result = self._lib.bpf_map_lookup_elem(
                self._lost, ctypes.byref(key), ctypes.byref(value)
            )
            libbpf.must(result, "read the map lost")
            counts[place] = value.value
        return counts

    def missed(self) -> int:
        """How many events the kernel dropped because they interrupted the program on its CPU;
        counted since kernel 5.12 (recursion_misses of the program's info)."""
        return missed_runs(self._on_state)

    def read_snapshot(self) -> list[bytes]:
        """`SocketRecord`s of the netns that the calling thread is in: listeners first, then every
        socket on a port that ever listened; in the parts in which the kernel gave them, of whole
        records each. Enters connections that the counters do not know yet.

        Blocks for the length of the pass: some milliseconds, and more with many sockets.
        """
        return self._iterate(self._snapshot_fd, "iter/tcp")

    def _iterate(self, iterator: int, target: str) -> list[bytes]:
        fd = libbpf.must(self._lib.bpf_iter_create(iterator), f"create {target}")
        try:
            chunks = []
            while chunk := _read(fd):
                chunks.append(chunk)
            return chunks
        finally:
            os.close(fd)


def _read(fd: int) -> bytes:
    # EAGAIN: the kernel gave way after many sockets without output.
    while True:
        try:
            return os.read(fd, _READ_SIZE)
        except BlockingIOError:
            continue
