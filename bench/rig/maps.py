"""A running daemon's BPF maps, read and tampered with as a fault would."""

import contextlib
import ctypes
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from drainmon.kernel import libbpf
from drainmon.kernel.counted_ports import CountedPorts
from drainmon.kernel.maps import Map
from drainmon.kernel.wire import PORT_COUNTERS, PortCounters, PortKey, Watch
from drainmon.procfs import process


def _bpftool(*arguments: str) -> Any:
    done = subprocess.run(["bpftool", "-j", *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "null")


class DaemonMaps:
    """The maps that the daemon with a pid holds."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._lib = libbpf.load_library()
        self._cpus = libbpf.must(self._lib.libbpf_num_possible_cpus(), "count the CPUs")
        self._ids: dict[str, int] = {}
        for info in Path(f"/proc/{pid}/fdinfo").iterdir():
            try:
                fields = dict(line.split(":", 1) for line in info.read_text().splitlines())
            except FileNotFoundError:  # closed since the folder was read
                continue
            if "map_id" in fields:
                number = int(fields["map_id"])
                self._ids[_bpftool("map", "show", "id", str(number))["name"]] = number

    @contextlib.contextmanager
    def _open(self, name: str) -> Iterator[Map]:
        fd = libbpf.must(self._lib.bpf_map_get_fd_by_id(self._ids[name]), f"open the map {name}")
        try:
            yield Map(self._lib, fd, name)
        finally:
            os.close(fd)

    def counters(self, netns: int, port: int) -> PortCounters:
        """The counters of all CPUs together."""
        with self._open("ports") as ports, self._open("port_numbers") as numbers:
            found = CountedPorts(ports, numbers, self._cpus).read(netns, port)
        assert found is not None, f"port {port} is not counted"
        return PortCounters.from_buffer_copy(PORT_COUNTERS.pack(*found))

    def set_counters(self, netns: int, port: int, counters: PortCounters) -> None:
        """Set the counters on the first CPU, and zero on the others. Only for a stopped daemon: a
        reader would get old and new values together. The daemon skips a CPU without a change."""
        counters.changes += 1
        values = ctypes.create_string_buffer(bytes(counters), self._cpus * PORT_COUNTERS.size)
        self._process.suspend()
        try:
            while self._process.status() != psutil.STATUS_STOPPED:
                time.sleep(0.001)
            with self._open("ports") as ports:
                assert ports.set(PortKey(netns, port), values)
        finally:
            self._process.resume()

    def is_watched(self, netns: int, port: int) -> bool:
        with self._open("watches") as watches:
            return watches.get(PortKey(netns, port), Watch())

    def unwatch(self, netns: int, port: int) -> None:
        with self._open("watches") as watches:
            watches.remove(PortKey(netns, port))

    def freeze(self, name: str) -> None:
        """Forbid changes from user space, for good."""
        subprocess.run(["bpftool", "map", "freeze", "id", str(self._ids[name])], check=True)

    def ports(self) -> set[tuple[int, int]]:
        keys = [
            PortKey.from_buffer_copy(bytes(int(byte, 16) for byte in entry["key"]))
            for entry in _bpftool("map", "dump", "id", str(self._ids["ports"]))
        ]
        return {(key.netns, key.port) for key in keys}

    def dead_ports(self) -> set[tuple[int, int]]:
        """Ports of namespaces without a process, which the daemon is about to free."""
        ports, living = self.ports(), _live_namespaces()
        return {(netns, port) for netns, port in ports if netns not in living}


def _live_namespaces() -> set[int]:
    """Every network namespace that has a process."""
    found = set()
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            found.add(process.netns_inode(pid))
    return found
