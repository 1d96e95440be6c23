"""Connections that a drain ignores, by peer address or local port."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv6Address, IPv6Network, ip_address

_FORM = re.compile(r"([0-9A-Fa-f:.]+)(?:/([0-9]{1,3}))?")
_MAPPED = IPv6Network("::ffff:0:0/96")
_MAPPED_BITS = 96
_MAPPED_PREFIX = _MAPPED.network_address.packed[:12]
_PORTS = range(1, 65536)


def parse_peer(text: str) -> IPv6Network:
    """An address or a network (10.0.0.0/8, 2001:db8::/32), IPv4 ones mapped. Bits after the prefix
    are ignored. Raises ValueError "cannot ignore X: why"."""
    match = _FORM.fullmatch(text)
    try:
        address = ip_address(match[1] if match else "")
        bits = int(match[2]) if match and match[2] else address.max_prefixlen
        if bits > address.max_prefixlen:
            raise ValueError
    except ValueError:
        why = "neither an address nor a network (try 10.0.0.0/8)"
        raise ValueError(f"cannot ignore the peer {text!r}: {why}") from None
    if not isinstance(address, IPv6Address):
        address = IPv6Address(_MAPPED_PREFIX + address.packed)
        bits += _MAPPED_BITS
    return IPv6Network((address, bits), strict=False)


def parse_port(text: str) -> int:
    """The port number. Raises ValueError "cannot ignore X: why"."""
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) not in _PORTS:
        raise ValueError(f"cannot ignore the port {text!r}: not a number from 1 to 65535")
    return int(text)


@dataclass(frozen=True)
class Ignored:
    """Peers and local ports. A network of IPv6 never covers mapped IPv4: ::/0 means IPv6."""

    peers: frozenset[IPv6Network] = frozenset()
    ports: frozenset[int] = frozenset()

    @classmethod
    def parse(cls, peers: Iterable[str] = (), ports: Iterable[str] = ()) -> "Ignored":
        """Peers and ports from texts. Raises ValueError "cannot ignore X: why"."""
        return cls(frozenset(map(parse_peer, peers)), frozenset(map(parse_port, ports)))

    def __bool__(self) -> bool:
        return bool(self.peers or self.ports)

    def __or__(self, other: "Ignored") -> "Ignored":
        """The connections that either ignores."""
        return Ignored(self.peers | other.peers, self.ports | other.ports)

    def __and__(self, other: "Ignored") -> "Ignored":
        """The connections that both ignore."""
        mine = {peer for peer in self.peers if any(_contains(o, peer) for o in other.peers)}
        others = {peer for peer in other.peers if any(_contains(m, peer) for m in self.peers)}
        return Ignored(frozenset(mine | others), self.ports & other.ports)

    def covers(self, local_port: int, remote: bytes) -> bool:
        """Whether a connection is ignored, by its local port and its remote address of 16 bytes."""
        return local_port in self.ports or (bool(self.peers) and self._covers_peer(remote))

    def _covers_peer(self, remote: bytes) -> bool:
        number = int.from_bytes(remote)
        return any(number & mask == network for network, mask in self._masks) or (
            not _is_mapped(remote)
            and any(number & mask == network for network, mask in self._short_masks)
        )

    @cached_property
    def _masks(self) -> list[tuple[int, int]]:
        return [_mask(peer) for peer in self.peers if peer.prefixlen >= _MAPPED_BITS]

    @cached_property
    def _short_masks(self) -> list[tuple[int, int]]:
        """Masks of short IPv6 prefixes, which do not cover mapped IPv4 addresses."""
        return [_mask(peer) for peer in self.peers if peer.prefixlen < _MAPPED_BITS]

    def prefixes(self) -> list[tuple[bytes, int, bool]]:
        """Entries for a longest-prefix table: address, prefix length, whether it is ignored."""
        found = [(peer.network_address.packed, peer.prefixlen, True) for peer in self.peers]
        short = any(peer.prefixlen < _MAPPED_BITS for peer in self.peers)
        if short and _MAPPED not in self.peers:
            found.append((_MAPPED.network_address.packed, _MAPPED_BITS, False))
        return found


NOTHING = Ignored()


def _is_mapped(address: bytes) -> bool:
    return address.startswith(_MAPPED_PREFIX)


def _mask(network: IPv6Network) -> tuple[int, int]:
    return int(network.network_address), int(network.netmask)


def _contains(network: IPv6Network, other: IPv6Network) -> bool:
    if network.prefixlen < _MAPPED_BITS and other.subnet_of(_MAPPED):
        return False
    return other.subnet_of(network)
