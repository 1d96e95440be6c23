"""The present addresses of the node, from which its kubelet connects."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import psutil

from drainmon.kernel import netns

_CHANGES = 0x10 | 0x100  # RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR of linux/rtnetlink.h

HOST_AND_OWN = (Path("/proc/1/ns/net"), Path("/proc/self/ns/net"))

Address = IPv4Address | IPv6Address


class NodeAddresses:
    """The addresses in the network namespaces of these files of /proc, by default the host's and
    the daemon's own. Namespaces that may not be entered are left out."""

    def __init__(self, files: Iterable[Path] = HOST_AND_OWN) -> None:
        self._namespaces: dict[int, _Namespace] = {}
        for file in files:
            with contextlib.suppress(OSError):
                inode = file.stat().st_ino
                if inode not in self._namespaces:
                    self._namespaces[inode] = _Namespace(file)

    def has(self, text: str) -> bool:
        """Whether the node has the address, in the form of getpeername(2)."""
        address = parse(text)
        return any(address in namespace.addresses() for namespace in self._namespaces.values())

    def close(self) -> None:
        """Close the namespaces."""
        for namespace in self._namespaces.values():
            namespace.close()


class _Namespace:
    """The addresses of a namespace, read again only after a change: the kernel queues the report
    before the call that makes the change returns."""

    def __init__(self, file: Path) -> None:
        self._fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._changes = netns.call_in(self._fd, _listen)
        except BaseException:
            os.close(self._fd)
            raise
        self._known: frozenset[Address] | None = None

    def addresses(self) -> frozenset[Address]:
        known, self._known = self._known, None  # stays None if reading fails
        if self._has_changed() or known is None:
            known = netns.call_in(self._fd, _addresses_here)
        self._known = known
        return known

    def _has_changed(self) -> bool:
        changed = False
        while True:
            try:
                self._changes.recv(65536)
            except BlockingIOError:
                return changed
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # there were more than the kernel keeps
                    raise
            changed = True

    def close(self) -> None:
        self._changes.close()
        os.close(self._fd)


def _listen() -> socket.socket:
    changes = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    changes.bind((0, _CHANGES))
    changes.setblocking(False)
    return changes


def _addresses_here() -> frozenset[Address]:
    """All addresses except loopback and link-local ones, which any caller may have."""
    texts = (
        entry.address
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in (socket.AF_INET, socket.AF_INET6)
    )
    return frozenset(a for a in map(parse, texts) if not (a.is_loopback or a.is_link_local))


def parse(text: str) -> Address:
    """The address without its zone; a mapped IPv4 address as IPv4."""
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
