"""Lists TCP sockets of a network namespace by netlink (sock_diag(7), linux/inet_diag.h).

A netlink socket lists the namespace in which it was made, from any thread, and keeps that namespace
alive. The kernel filters states and ports. /proc/net/tcp has neither bytes nor times, and walks the
whole host's table of connections even to list listeners.

diag_message.py parses the messages.
"""

import contextlib
import errno
import itertools
import os
import socket
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

from drainmon.kernel import netns
from drainmon.kernel.diag_message import MESSAGE_SIZE, SLACK, Part, parse_inode_and_port

_NETLINK_SOCK_DIAG = 4  # linux/netlink.h
_TCPDIAG_GETSOCK, _SOCK_DIAG_BY_FAMILY = 18, 20  # linux/inet_diag.h, linux/sock_diag.h
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: the table has changed meanwhile

_HEADER = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""

_REQUEST_ALL = struct.Struct("=BBBB48xII")
"""inet_diag_req: family, two lengths, extensions, no particular socket, states, dbs. Only this
older request lists both families in one walk of the table."""

_REQUEST = struct.Struct("=BBBxI48x")
"""inet_diag_req_v2: family, protocol, extensions, states, no particular socket."""

_ATTRIBUTE = struct.Struct("=HH")
_BYTECODE, _PROTOCOL = 1, 3  # INET_DIAG_REQ_BYTECODE, INET_DIAG_REQ_PROTOCOL
_WITH_INFO = 1 << (2 - 1)  # the extension INET_DIAG_INFO

_OPERATION = struct.Struct("=BBH")
"""inet_diag_bc_op: code, and the bytes to advance when it is true and when it is not."""

_JUMP, _AT_LEAST, _AT_MOST = 1, 2, 3  # INET_DIAG_BC_JMP, INET_DIAG_BC_S_GE, INET_DIAG_BC_S_LE

PORTS_FILTERED = 200
"""With more ports than this, the kernel returns sockets on all ports."""

LISTENING = 1 << 10
TIME_WAIT = 1 << 6
CONNECTED = 0xFFE & ~(TIME_WAIT | LISTENING)
HELD = CONNECTED & ~(1 << 2 | 1 << 3 | 1 << 7)  # neither SYN_SENT nor SYN_RECV nor CLOSE
"""States, as bits of a request."""

_MPTCP = 262  # IPPROTO_MPTCP

_ERROR = struct.Struct("=i")
_ANSWER_SIZE = 1 << 16
_sequence = itertools.count(1)


class SockDiag:
    """A netlink socket in the calling thread's namespace, for one dump at a time. Raises OSError in
    kernels without sock_diag. Close it."""

    def __init__(self, own: socket.socket | None = None) -> None:
        kind = (socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
        self._socket = own or socket.socket(*kind)

    def close(self) -> None:
        self._socket.close()

    def dup(self) -> "SockDiag":
        """A copy with a descriptor of its own."""
        return SockDiag(self._socket.dup())

    def tcp(
        self, states: int, ports: Collection[int] | None = None, info: bool = True
    ) -> Iterator[Part]:
        """TCP sockets of both families in these states, on these local ports, with tcp_info or
        without. On all ports for None, or for too many to filter. Each part is valid until the
        next; between two parts the kernel may skip a socket. Raises OSError "cannot list sockets:
        why"."""
        extensions = _WITH_INFO if info else 0
        request = _REQUEST_ALL.pack(socket.AF_UNSPEC, 0, 0, extensions, states, 0)
        return self._dump(_TCPDIAG_GETSOCK, request + _only_on(ports))

    def mptcp(self, ports: Collection[int]) -> Iterator[Part]:
        """The same for MPTCP connections. Kernels without MPTCP list raw sockets, or refuse."""
        protocol = _ATTRIBUTE.pack(_ATTRIBUTE.size + 4, _PROTOCOL) + struct.pack("=I", _MPTCP)
        for family in (socket.AF_INET, socket.AF_INET6):
            request = _REQUEST.pack(family, socket.IPPROTO_RAW, 0, CONNECTED)
            yield from self._dump(_SOCK_DIAG_BY_FAMILY, request + protocol + _only_on(ports))

    def _dump(self, kind: int, request: bytes) -> Iterator[Part]:
        sequence = next(_sequence) & 0xFFFFFFFF
        size = _HEADER.size + len(request)
        self._socket.send(_HEADER.pack(size, kind, _REQUEST_DUMP, sequence, 0) + request)
        buffer = bytearray(_ANSWER_SIZE + SLACK)
        ended = False
        try:
            while not ended:
                received = self._socket.recv_into(buffer, _ANSWER_SIZE)
                ended = True  # also if the answer cannot be parsed
                part, ended = split(buffer, received, sequence)
                if part.starts:
                    yield part
        finally:  # the rest must not come with the next answer
            while not ended:
                received = self._socket.recv_into(buffer, _ANSWER_SIZE)
                _, ended = split(buffer, received, sequence)


def split(buffer: bytearray, size: int, sequence: int) -> tuple[Part, bool]:
    """The messages in the first `size` bytes, and whether they are the last. Raises OSError for a
    refusal, a torn message, and a message of another request."""
    starts: list[int] = []
    interrupted = False
    at = 0
    while at + _HEADER.size <= size:
        length, kind, flags, number, _ = _HEADER.unpack_from(buffer, at)
        interrupted |= bool(flags & _INTERRUPTED)
        if number != sequence:
            raise OSError(errno.EPROTO, "cannot list sockets: answer to another request")
        if kind == _NLMSG_DONE:
            return Part(buffer, starts, interrupted), True
        least = _HEADER.size + _ERROR.size if kind == _NLMSG_ERROR else MESSAGE_SIZE
        if not least <= length <= size - at:
            raise OSError(errno.EPROTO, "cannot list sockets: the kernel's answer is cut short")
        if kind == _NLMSG_ERROR:
            why = -_ERROR.unpack_from(buffer, at + _HEADER.size)[0]
            raise OSError(why, f"cannot list sockets: {os.strerror(why)}")
        starts.append(at)
        at += (length + 3) & ~3
    return Part(buffer, starts, interrupted), False


def _only_on(ports: Collection[int] | None) -> bytes:
    """The attribute by which the kernel skips sockets on other local ports."""
    if ports is None or len(ports) > PORTS_FILTERED:
        return b""
    alternatives = [_is_port(port) for port in sorted(ports) or [0]]
    program = alternatives.pop()
    for alternative in reversed(alternatives):
        # True: jump to the end, which accepts. False: go to the next alternative.
        jump = _OPERATION.pack(_JUMP, _OPERATION.size, _OPERATION.size + len(program))
        program = alternative + jump + program
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(program), _BYTECODE) + program


def _is_port(port: int) -> bytes:
    """Two comparisons, each with its port in a second word. When one is false, the program
    continues four bytes after the second: after a jump, or beyond the program's end, which
    rejects."""
    word = _OPERATION.size
    bound = _OPERATION.pack(0, 0, port)
    at_least = _OPERATION.pack(_AT_LEAST, 2 * word, 5 * word)
    at_most = _OPERATION.pack(_AT_MOST, 2 * word, 3 * word)
    return at_least + bound + at_most + bound


def try_listing() -> None:
    """Raise OSError "cannot X: why" when this process may not enter a network namespace, tried with
    its own, or the kernel does not list sockets."""
    with Path("/proc/self/ns/net").open("rb", buffering=0) as own:
        netns.call_in(own.fileno(), listeners)


def listeners() -> dict[int, int]:
    """Local port by socket inode of every TCP listener, IPv4 and IPv6, in the calling thread's
    network namespace. Raises OSError when the kernel cannot list them, or they changed."""
    return _ports_by_inode(LISTENING)


def connections() -> dict[int, int]:
    """The same for every TCP connection that a process holds."""
    found = _ports_by_inode(HELD)
    found.pop(0, None)
    return found


def ports_in_use() -> frozenset[int]:
    """The local ports of all TCP sockets except those in TIME_WAIT."""
    with contextlib.closing(SockDiag()) as diag:
        parts = diag.tcp(CONNECTED | LISTENING, info=False)
        return frozenset(
            parse_inode_and_port(part, start)[1] for part in parts for start in part.starts
        )


def _ports_by_inode(states: int) -> dict[int, int]:
    diag = SockDiag()
    try:
        found: dict[int, int] = {}
        for part in diag.tcp(states, info=False):
            if part.interrupted:
                raise InterruptedError("cannot list sockets: they changed meanwhile")
            found.update(parse_inode_and_port(part, start) for start in part.starts)
        return found
    finally:
        diag.close()
