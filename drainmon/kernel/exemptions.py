"""The map `ignored_peers`: peers whose connections are no arrivals while a pod drains."""

import ctypes
import errno
from collections.abc import Iterable

from drainmon.kernel.maps import Map
from drainmon.kernel.wire import PeerKey, PortKey

Prefix = tuple[bytes, int, bool]
"""An address of 16 bytes, IPv4 ones mapped; its prefix length; whether the prefix is ignored, or an
exception from a shorter one."""

_PORT_BITS = 8 * ctypes.sizeof(PortKey)

_Entry = tuple[int, int, bytes, int]
"""Netns inode, port, address, bits."""


class Exemptions:
    """The peers that each pod ignores."""

    def __init__(self, peers: Map) -> None:
        self._peers = peers
        self._ignored: dict[int, set[_Entry]] = {}

    @property
    def ignoring(self) -> bool:
        """Whether any peer is ignored."""
        return bool(self._ignored)

    def ignore(
        self, pod: int, inode: int, ports: Iterable[int], prefixes: Iterable[Prefix]
    ) -> None:
        """Ignore these peers' arrivals on these ports, in place of those of the last call with this
        `pod`. Raises OSError when there is no room for all; entries that fit are kept."""
        rules = list(prefixes)
        wanted = {
            (inode, port, address, bits): ignored
            for port in ports
            for address, bits, ignored in rules
        }
        mine = self._ignored.pop(pod, set())
        # In the host's namespace pods may share a port.
        for entry in mine.difference(wanted, *self._ignored.values()):
            self._peers.remove(_peer_key(*entry))
        for entry, ignored in wanted.items():
            self._ignored.setdefault(pod, set()).add(entry)
            if not self._peers.set(_peer_key(*entry), ctypes.c_uint32(ignored)):
                raise OSError(errno.ENOSPC, "cannot ignore a peer: too many are ignored")


def _peer_key(inode: int, port: int, address: bytes, bits: int) -> PeerKey:
    return PeerKey(_PORT_BITS + bits, PortKey(inode, port), (ctypes.c_uint8 * 16)(*address))
