"""The counted ports: the map `ports`, and a bit for each port number in `port_numbers`."""

import ctypes
from collections import Counter
from collections.abc import Sequence

from drainmon.kernel.maps import Map
from drainmon.kernel.wire import PORT_COUNTERS, PortKey

Counters = tuple[int, ...]
"""The fields of PORT_COUNTERS, over all CPUs: changes, accepted, last_accept_ns, probes, arrivals,
cut, and the number of connections in each slot."""

_BITS = 64
_NOTHING = PORT_COUNTERS.unpack(bytes(PORT_COUNTERS.size))


def summed(parts: Sequence[Counters]) -> Counters:
    """The sum of one or more counters, of CPUs or ports."""
    if len(parts) == 1:
        return parts[0]
    changes, accepted, _, *others = map(sum, zip(*parts, strict=True))
    return (changes, accepted, max(part[2] for part in parts), *others)


class CountedPorts:
    """The maps of counted ports. A value has counters for each of `cpus`."""

    def __init__(self, ports: Map, numbers: Map, cpus: int) -> None:
        self._ports = ports
        self._numbers = numbers
        self._size = cpus * PORT_COUNTERS.size
        self._keys: set[tuple[int, int]] = set()
        self._namespaces: Counter[int] = Counter()
        """The number of namespaces in which a port number is counted."""
        self._words: Counter[int] = Counter()
        """The contents of `numbers`."""

    def add(self, inode: int, port: int) -> bool:
        """Count on a port, from zero. Returns False when there is no room."""
        if not self._ports.set(PortKey(inode, port), ctypes.create_string_buffer(self._size)):
            return False
        if (inode, port) not in self._keys:
            self._keys.add((inode, port))
            self._namespaces[port] += 1
            if self._namespaces[port] == 1:
                self._flip(port)
        return True

    def forget(self, inode: int, port: int) -> None:
        """Stop counting on a port."""
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
        """The counters of a port; None when it is not counted."""
        values = ctypes.create_string_buffer(self._size)
        if not self._ports.get(PortKey(inode, port), values):
            return None
        # Of many CPUs, most have not seen the port.
        counted = [one for one in PORT_COUNTERS.iter_unpack(values.raw) if one[0]]
        return summed(counted or [_NOTHING])
