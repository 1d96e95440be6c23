"""Ports that are counted: the map `ports`, and a bit for each number in `port_numbers`."""

import ctypes
from collections import Counter
from collections.abc import Sequence

from drainmon.kernel.maps import Map
from drainmon.kernel.wire import PORT_COUNTERS, PortKey

Counters = tuple[int, ...]
"""As PORT_COUNTERS has them, of all CPUs: changes, accepted, last_accept_ns, probes, arrivals, cut,
and how many are in each slot."""

_BITS = 64
_NOTHING = PORT_COUNTERS.unpack(bytes(PORT_COUNTERS.size))


def summed(parts: Sequence[Counters]) -> Counters:
    """Of one or more, on CPUs or ports."""
    if len(parts) == 1:
        return parts[0]
    changes, accepted, _, *others = map(sum, zip(*parts, strict=True))
    return (changes, accepted, max(part[2] for part in parts), *others)


class CountedPorts:
    """A value has the counters of each of `cpus`."""

    def __init__(self, ports: Map, numbers: Map, cpus: int) -> None:
        self._ports = ports
        self._numbers = numbers
        self._size = cpus * PORT_COUNTERS.size
        self._keys: set[tuple[int, int]] = set()
        self._namespaces: Counter[int] = Counter()
        """In how many namespaces a port number is counted."""
        self._words: Counter[int] = Counter()
        """What `numbers` has."""

    def add(self, inode: int, port: int) -> bool:
        """Count from zero, from now on. False when there is no room."""
        if not self._ports.set(PortKey(inode, port), ctypes.create_string_buffer(self._size)):
            return False
        if (inode, port) not in self._keys:
            self._keys.add((inode, port))
            self._namespaces[port] += 1
            if self._namespaces[port] == 1:
                self._flip(port)
        return True

    def forget(self, inode: int, port: int) -> None:
        """Count no more."""
        self._ports.remove(PortKey(inode, port))
        if (inode, port) in self._keys:
            self._keys.discard((inode, port))
            self._namespaces[port] -= 1
            if not self._namespaces[port]:
                del self._namespaces[port]
                self._flip(port)

    def _flip(self, port: int) -> None:
        word, bit = divmod(port, _BITS)
        self._words[word] ^= 1 << bit
        self._numbers.set(ctypes.c_uint32(word), ctypes.c_uint64(self._words[word]))

    def read(self, inode: int, port: int) -> Counters | None:
        """None when it is not counted."""
        values = ctypes.create_string_buffer(self._size)
        if not self._ports.get(PortKey(inode, port), values):
            return None
        # Most of many CPUs have seen nothing of one port.
        counted = [one for one in PORT_COUNTERS.iter_unpack(values.raw) if one[0]]
        return summed(counted or [_NOTHING])
