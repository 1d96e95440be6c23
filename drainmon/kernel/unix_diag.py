"""Lists unix sockets of a network namespace by netlink (sock_diag(7), linux/unix_diag.h).

/proc/net/unix is not safe: it prints names with their newlines, so that any process that binds a
socket can add lines to it.
"""

import errno
import os
import socket
import struct

_NETLINK_SOCK_DIAG = 4  # linux/netlink.h
_SOCK_DIAG_BY_FAMILY = 20  # linux/sock_diag.h
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP

_HEADER = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""

_REQUEST = struct.Struct("=B3xIIII4x")
"""unix_diag_req: family, states, inode, what to show, cookie."""

_MESSAGE = struct.Struct("=4xI8x")
"""unix_diag_msg: inode."""

_ATTRIBUTE = struct.Struct("=HH")
_LISTENING = 1 << 10
_SHOW_NAME = 1  # UDIAG_SHOW_NAME
_NAME = 0  # UNIX_DIAG_NAME
_ANSWER_SIZE = 1 << 16


def listener_at(address: bytes) -> int | None:
    """The inode of the socket that listens at an address, in the calling thread's network
    namespace; an abstract address begins with a zero. Raises OSError when the kernel cannot list
    sockets."""
    kind = (socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
    request = _REQUEST.pack(socket.AF_UNIX, _LISTENING, 0, _SHOW_NAME, 0)
    found = None
    with socket.socket(*kind) as diag:
        size = _HEADER.size + len(request)
        diag.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + request)
        while True:
            answer = diag.recv(_ANSWER_SIZE)
            at = 0
            while at + _HEADER.size <= len(answer):
                length, kind_of_message, *_ = _HEADER.unpack_from(answer, at)
                body = answer[at + _HEADER.size : at + length]
                if kind_of_message == _NLMSG_DONE:
                    return found
                if kind_of_message == _NLMSG_ERROR:
                    why = -struct.unpack_from("=i", body)[0]
                    raise OSError(why, f"cannot list unix sockets: {os.strerror(why)}")
                if length < _HEADER.size + _MESSAGE.size:
                    raise OSError(errno.EPROTO, "cannot list unix sockets: the answer is cut short")
                if _name(body[_MESSAGE.size :]) == address:
                    found = _MESSAGE.unpack_from(body)[0]
                at += (length + 3) & ~3


def _name(attributes: bytes) -> bytes | None:
    at = 0
    while at + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, at)
        if kind == _NAME:
            return attributes[at + _ATTRIBUTE.size : at + length]
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)
    return None
