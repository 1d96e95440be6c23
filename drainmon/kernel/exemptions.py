"""Whose connections hold no drain: the maps `probing_processes` and `ignored_peers`."""

import ctypes
import errno
import os
from collections.abc import Iterable

from drainmon.kernel import libbpf
from drainmon.kernel.wire import PROCESS_NAME, PeerKey, PortKey, ProcessName

LONGEST_NAME = PROCESS_NAME - 1
"""Bytes of a process's name that the kernel keeps."""

Prefix = tuple[bytes, int, bool]
"""An address in 16 bytes, IPv4 ones mapped; how many of its bits count; whether it is ignored, or
an exception from a shorter one."""

_PORT_BITS = 8 * ctypes.sizeof(PortKey)

_Entry = tuple[int, int, bytes, int]
"""Netns inode, port, address, bits."""


class Exemptions:
    """Both maps, by their file descriptors."""

    def __init__(self, lib: ctypes.CDLL, processes: int, peers: int) -> None:
        self._lib = lib
        self._processes = processes
        self._peers = peers
        self._ignored: dict[int, set[_Entry]] = {}

    def add_processes(self, names: Iterable[str]) -> None:
        """Connections of processes with these names are probes' from now on."""
        for name in names:
            key = ProcessName(os.fsencode(name)[:LONGEST_NAME])
            self._update(self._processes, key, 1, f"look for processes named {name}")

    @property
    def ignoring(self) -> bool:
        """Whether any peer is ignored."""
        return bool(self._ignored)

    def ignore(
        self, pod: int, inode: int, ports: Iterable[int], prefixes: Iterable[Prefix]
    ) -> None:
        """Ignore these peers' arrivals on these ports, and nothing else that a call with the same
        `pod` has named. Raises OSError when there is no room; those that found some are ignored."""
        rules = list(prefixes)
        wanted = {
            (inode, port, address, bits): ignored
            for port in ports
            for address, bits, ignored in rules
        }
        mine = self._ignored.pop(pod, set())
        # In the host's namespace pods may share a port.
        for entry in mine.difference(wanted, *self._ignored.values()):
            self._delete(_peer_key(*entry))
        for entry, ignored in wanted.items():
            self._ignored.setdefault(pod, set()).add(entry)
            self._update(self._peers, _peer_key(*entry), int(ignored), "ignore a peer")

    def _update(self, map_fd: int, key: ctypes.Structure, value: int, doing: str) -> None:
        number = ctypes.c_uint32(value)
        result = self._lib.bpf_map_update_elem(map_fd, ctypes.byref(key), ctypes.byref(number), 0)
        libbpf.must(result, doing)

    def _delete(self, key: PeerKey) -> None:
        result = self._lib.bpf_map_delete_elem(self._peers, ctypes.byref(key))
        if result != -errno.ENOENT:
            libbpf.must(result, "no longer ignore a peer")


def _peer_key(inode: int, port: int, address: bytes, bits: int) -> PeerKey:
    return PeerKey(_PORT_BITS + bits, PortKey(inode, port), (ctypes.c_uint8 * 16)(*address))
