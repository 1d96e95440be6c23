"""Whether a caller is the node, while the node's addresses change."""

import errno
import os
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from bench.rig.netns import Netns, fresh_netns, ip
from drainmon.kernel import netns as kernel_netns
from drainmon.server.node_addresses import NodeAddresses, parse


@pytest.fixture
def host() -> Iterator[Netns]:
    with fresh_netns("drainmon-host") as host:
        ip("-n", host.name, "link", "add", "card", "type", "veth", "peer", "name", "other")
        ip("-n", host.name, "link", "set", "card", "up")
        yield host


@pytest.fixture
def node(host: Netns) -> Iterator[NodeAddresses]:
    node = NodeAddresses([host.path, host.path, Path("/proc/1/ns/nothing")])
    yield node
    node.close()


def address(host: Netns, what: str, text: str) -> None:
    nodad = ["nodad"] if ":" in text and what == "add" else []
    ip("-n", host.name, "address", what, text, "dev", "card", *nodad)


@pytest.mark.root
def test_new_and_removed_addresses_are_noticed(host: Netns, node: NodeAddresses) -> None:
    assert not node.has("10.97.0.1")
    address(host, "add", "10.97.0.1/24")
    address(host, "add", "fd97::1/64")
    for text in ("10.97.0.1", "::ffff:10.97.0.1", "fd97::1", "fd97:0::0:1"):
        assert node.has(text)
    assert not node.has("10.97.0.2")
    address(host, "del", "10.97.0.1/24")
    assert not node.has("10.97.0.1")
    assert node.has("fd97::1")


@pytest.mark.root
def test_addresses_are_read_again_after_lost_changes(host: Netns, node: NodeAddresses) -> None:
    assert not node.has("10.97.0.1")
    batch = "".join(
        f"address {what} 10.97.1.1/32 dev card\n" for _ in range(3000) for what in ("add", "del")
    )
    commands = Path("/tmp") / f"{host.name}.batch"  # noqa: S108
    commands.write_text(batch + "address add 10.97.0.1/24 dev card\n")
    try:
        ip("-n", host.name, "-batch", str(commands))
    finally:
        commands.unlink()
    assert node.has("10.97.0.1")


@pytest.mark.root
def test_a_failed_reading_is_repeated(
    host: Netns, node: NodeAddresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not node.has("10.97.0.1")
    address(host, "add", "10.97.0.1/24")
    with monkeypatch.context() as patch:
        patch.setattr(kernel_netns, "call_in", _no_descriptors)
        with pytest.raises(OSError, match="Too many open files"):
            node.has("10.97.0.1")
    assert node.has("10.97.0.1")


def _no_descriptors(*_: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.root
def test_loopback_and_link_local_addresses_do_not_count(host: Netns, node: NodeAddresses) -> None:
    address(host, "add", "fe80::97/64")
    for text in ("127.0.0.1", "::1", "fe80::97%card"):
        assert not node.has(text)


def test_a_zone_is_not_part_of_an_address() -> None:
    assert parse("fe80::1%eth0") == ip_address("fe80::1")
    with pytest.raises(ValueError, match="somewhere"):
        parse("somewhere")
