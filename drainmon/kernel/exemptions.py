"""Whose connections hold no drain: the maps `probing_processes` and `ignored_peers`."""

import ctypes
import errno
import os
from collections.abc import Iterable

from drainmon.kernel import libbpf
from drainmon.kernel.wire import PROCESS_NAME, PeerKey, ProcessName

LONGEST_NAME = PROCESS_NAME - 1
"""Bytes of a process's name that the kernel keeps."""

Prefix = tuple[bytes, int, bool]
"""An address in 16 bytes, IPv4 ones mapped; how many of its bits count; whether it is ignored, or
an exception from a shorter one."""

_NETNS_BITS = 32


class Exemptions:
    """Both maps, by their file descriptors."""

    def __init__(self, lib: ctypes.CDLL, processes: int, peers: int) -> None:
        self._lib = lib
        self._processes = processes
        self._peers = peers
        self._ignored: dict[int, set[tuple[bytes, int]]] = {}

    def add_processes(self, names: Iterable[str]) -> None:
        """Connections of processes with these names are probes' from now on."""
        for name in names:
            key = ProcessName(os.fsencode(name)[:LONGEST_NAME])
            self._update(self._processes, key, 1, f"look for processes named {name}")

    @property
    def ignoring(self) -> bool:
        """Whether any peer is ignored."""
        return bool(self._ignored)

    def ignore(self, inode: int, prefixes: Iterable[Prefix]) -> None:
        """Ignore the arrivals of these peers in a namespace, and of no others. Raises OSError when
        there is no room; those that found some are ignored."""
        wanted = {(address, bits): ignored for address, bits, ignored in prefixes}
        for address, bits in self._ignored.pop(inode, set()) - wanted.keys():
            self._delete(_peer_key(inode, address, bits))
        for (address, bits), ignored in wanted.items():
            key = _peer_key(inode, address, bits)
            self._ignored.setdefault(inode, set()).add((address, bits))
            self._update(self._peers, key, int(ignored), "ignore a peer")

    def _update(self, map_fd: int, key: ctypes.Structure, value: int, doing: str) -> None:
        number = ctypes.c_uint32(value)
        result = self._lib.bpf_map_update_elem(map_fd, ctypes.byref(key), ctypes.byref(number), 0)
        libbpf.must(result, doing)

    def _delete(self, key: PeerKey) -> None:
        result = self._lib.bpf_map_delete_elem(self._peers, ctypes.byref(key))
        if result != -errno.ENOENT:
            libbpf.must(result, "no longer ignore a peer")


def _peer_key(inode: int, address: bytes, bits: int) -> PeerKey:
    return PeerKey(_NETNS_BITS + bits, inode, (ctypes.c_uint8 * 16)(*address))
