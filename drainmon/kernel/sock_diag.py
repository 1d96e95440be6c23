"""Listening sockets by netlink (sock_diag(7), linux/inet_diag.h).

/proc/net/tcp has them too, but the kernel walks the whole table of connections of the host before
it says that there are no more: milliseconds for each namespace. Here it looks at listeners alone.
"""

import errno
import os
import socket
import struct

_NETLINK_SOCK_DIAG = 4  # linux/netlink.h
_SOCK_DIAG_BY_FAMILY = 20  # linux/sock_diag.h
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: the table has changed meanwhile
_TCP_LISTEN = 1 << 10

_HEADER = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""

_REQUEST = struct.Struct("=BBBxI48x")
"""inet_diag_req_v2: family, protocol, extensions, states, no socket in particular."""

_PORT = struct.Struct("!H")
_PORT_AT = 4
_INODE = struct.Struct("=I")
_INODE_AT = 4 + 48 + 4 * 4
"""Where sport and inode stand in inet_diag_msg."""

_ERROR = struct.Struct("=i")
_ANSWER_SIZE = 1 << 16


def listeners() -> dict[int, int]:
    """Local port by socket inode of every TCP listener, IPv4 and IPv6, in the network namespace
    that the calling thread is in. Raises OSError where the kernel cannot say."""
    return _dump(socket.AF_INET) | _dump(socket.AF_INET6)


def _dump(family: int) -> dict[int, int]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _TCP_LISTEN)
        size = _HEADER.size + len(request)
        header = _HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 0, 0)
        netlink.send(header + request)
        found: dict[int, int] = {}
        while parse(netlink.recv(_ANSWER_SIZE), found):
            pass
        return found


def parse(answer: bytes, found: dict[int, int]) -> bool:
    """Enter the listeners of one part of an answer, local port by socket inode; whether more parts
    follow. Raises OSError for a refusal, and when the answer is not whole."""
    at = 0
    while at + _HEADER.size <= len(answer):
        size, kind, flags, _, _ = _HEADER.unpack_from(answer, at)
        body = at + _HEADER.size
        if flags & _INTERRUPTED:
            raise InterruptedError("cannot list listeners: they changed meanwhile")
        if kind == _NLMSG_DONE:
            return False
        least = _ERROR.size if kind == _NLMSG_ERROR else _INODE_AT + _INODE.size
        if not _HEADER.size + least <= size <= len(answer) - at:
            raise OSError(errno.EPROTO, "cannot list listeners: the kernel's answer is cut short")
        if kind == _NLMSG_ERROR:
            number = -_ERROR.unpack_from(answer, body)[0]
            raise OSError(number, f"cannot list listeners: {os.strerror(number)}")
        (port,) = _PORT.unpack_from(answer, body + _PORT_AT)
        (inode,) = _INODE.unpack_from(answer, body + _INODE_AT)
        found[inode] = port
        at += (size + 3) & ~3
    return True
