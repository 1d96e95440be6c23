"""Which connections a drain ignores, by address and port."""

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.model.ignored import Ignored, parse_peer, parse_port
from tests.unit.proc_net import packed


def covers(peers: list[str], address: str) -> bool:
    return Ignored.parse(peers).covers(80, packed(ip_address(address)))


@pytest.mark.parametrize(
    ("peer", "inside", "outside"),
    [
        ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
        ("10.1.2.3/8", "10.0.0.1", "9.255.255.255"),  # host bits behind the prefix
        ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
        ("::1", "::1", "::2"),
        ("::ffff:10.0.0.0/104", "10.9.8.7", "11.0.0.0"),
        ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
        ("::/0", "2001:db8::1", "203.0.113.9"),  # IPv6 only
    ],
)
def test_ignored_peers_cover_addresses_and_networks(peer: str, inside: str, outside: str) -> None:
    assert covers([peer], inside)
    assert not covers([peer], outside)
    assert covers(["198.51.100.0/24", peer], inside)


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/255.0.0.0",
     "010.0.0.0/8", "fe80::1%eth0", "fe80::1%eth0/64", "web", "10.0.0.0/8 ", "1:2:3", "/8",
     "10.0.0.0/1e1", "\u0661.0.0.0"],
)  # fmt: skip
def test_a_bad_peer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot ignore the peer .*: neither an address nor"):
        parse_peer(text)


@pytest.mark.parametrize(
    "text", ["", "0", "65536", "-1", "80s", " 80", "1e3", "\u0661", "9" * 5000]
)
def test_a_bad_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot ignore the port .*: not a number from 1 to"):
        parse_port(text)


def test_ignored_ports_are_covered() -> None:
    ignored = Ignored.parse(ports=["9113", "81"])
    address = packed(ip_address("192.0.2.1"))
    assert [port for port in (80, 81, 9113) if ignored.covers(port, address)] == [81, 9113]
    assert not Ignored()
    assert ignored


ADDRESSES = st.one_of(
    st.ip_addresses(v=6), st.ip_addresses(v=4), st.ip_addresses(v=4, network="10.0.0.0/28")
)
PEERS = st.lists(
    st.one_of(
        st.builds("{}/{}".format, st.ip_addresses(v=4), st.integers(0, 32)),
        st.builds("10.0.0.{}/{}".format, st.integers(0, 15), st.integers(24, 32)),
        st.builds("{}/{}".format, st.ip_addresses(v=6), st.integers(0, 128)),
        st.just("::/0"),
    ),
    max_size=4,
)


@given(PEERS, ADDRESSES)
def test_ignored_peers_match_pythons_networks(peers: list[str], address: IPv6Address) -> None:
    expected = any(_plain(address) in _network(peer) for peer in peers)
    assert Ignored.parse(peers).covers(80, packed(address)) == expected


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return getattr(address, "ipv4_mapped", None) or address


def _network(peer: str) -> IPv4Network | IPv6Network:
    network = ip_network(peer, strict=False)
    plain, bits = _plain(network.network_address), network.prefixlen
    if network.version == plain.version or bits < 96:
        return network
    return ip_network((plain, bits - 96))


@given(PEERS, PEERS, ADDRESSES)
def test_union_and_intersection_of_ignored_peers(
    one: list[str], two: list[str], address: IPv6Address
) -> None:
    left, right, where = Ignored.parse(one), Ignored.parse(two), packed(address)
    assert (left | right).covers(80, where) == (left.covers(80, where) or right.covers(80, where))
    assert (left & right).covers(80, where) == (left.covers(80, where) and right.covers(80, where))


@given(PEERS, ADDRESSES)
def test_prefixes_for_the_kernel_give_the_same_result(
    peers: list[str], address: IPv6Address
) -> None:
    where = IPv6Address(packed(address))
    ignored = Ignored.parse(peers)
    longest = (-1, False)
    for network, bits, covers_ in ignored.prefixes():
        if where in IPv6Network((network, bits)):
            longest = max(longest, (bits, covers_))
    assert longest[1] == ignored.covers(80, where.packed)
