"""sock_diag's messages as the kernel writes them, truncated, and hostile."""

import ipaddress
import os
import socket
import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.library import Address, Library, Row

ERROR, DONE, SOCKET = 2, 3, 20
INTERRUPTED = 0x10
INFO, ULP = 2, 17

AF_NETLINK, SOCK_DIAG = 16, 4

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
HERE, THERE = ipaddress.IPv4Address("10.0.0.1"), ipaddress.IPv4Address("10.0.0.2")


def message(kind: int, payload: bytes, flags: int = 2) -> bytes:
    data = struct.pack("=IHHII", 16 + len(payload), kind, flags, 0, 0) + payload
    return data + bytes(-len(data) % 4)


def attribute(kind: int, payload: bytes) -> bytes:
    data = struct.pack("=HH", 4 + len(payload), kind) + payload
    return data + bytes(-len(data) % 4)


@dataclass(frozen=True)
class Said:
    """struct inet_diag_msg of linux/inet_diag.h followed by struct tcp_info of linux/tcp.h; `info`
    is how many bytes of tcp_info the kernel knows."""

    local: Ip = HERE
    remote: Ip = THERE
    local_port: int = 80
    remote_port: int = 41234
    state: int = 1
    unread: int = 3
    unsent: int = 4
    inode: int = 5
    info: int = 248

    def payload(self) -> bytes:
        family = socket.AF_INET6 if self.local.version == 6 else socket.AF_INET
        ends = struct.pack("!HH16s16s", self.local_port, self.remote_port, self.local.packed,
                           self.remote.packed)  # fmt: skip
        said = struct.pack("=BBBB48sIIIII", family, self.state, 0, 0, ends, 0, self.unread,
                           self.unsent, 0, self.inode)  # fmt: skip
        info = bytearray(248)
        info[2], info[3] = 6, 7  # retransmits, probes
        struct.pack_into("=I", info, 8, 204_000)  # rto in microseconds
        struct.pack_into("=IIII", info, 44, 1_001, 1_002, 1_003, 1_004)  # last data sent ... ack
        struct.pack_into("=Q", info, 128, 2**40)  # bytes_received
        struct.pack_into("=I", info, 156, 9)  # data_segs_out
        struct.pack_into("=Q", info, 200, 2**41)  # bytes_sent
        return (
            said
            + attribute(ULP, b"x")
            + (attribute(INFO, bytes(info[: self.info])) if self.info else b"")
        )

    def line(self) -> str:
        line = f"{printed(self.local, self.local_port)} {printed(self.remote, self.remote_port)} "
        line += f"{self.state} {self.unsent} {self.unread} {self.inode}"
        if self.info < 160:
            return line + " 0 0 0"
        sent = 2**41 if self.info >= 208 else 9
        return line + f" 6 7 204 {2**40} {sent} 1003 1001 1004"


def printed(address: Ip, port: int) -> str:
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return f"{mapped}:{port}" if mapped else f"[{address.compressed}]:{port}"
    return f"{address}:{port}"


PORTS, NUMBERS = st.integers(0, 65535), st.integers(0, 2**32 - 1)
SAID = st.one_of(
    *(
        st.builds(
            Said, st.ip_addresses(v=version), st.ip_addresses(v=version), PORTS, PORTS,
            st.integers(0, 255), NUMBERS, NUMBERS, NUMBERS,
            st.sampled_from([0, 104, 159, 160, 207, 208, 248]),
        )
        for version in (4, 6)
    )
)  # fmt: skip


@given(st.lists(SAID, max_size=4))
def test_every_column_of_a_socket_is_parsed(library: Library, sockets: list[Said]) -> None:
    data = b"".join(message(SOCKET, said.payload()) for said in sockets)
    expected = [said.line() for said in sockets]
    assert library.diag(data + message(DONE, bytes(4))) == [*expected, "done"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", []),
        (message(DONE, b""), ["done"]),
        (message(DONE, bytes(4), 2 | INTERRUPTED), ["done interrupted"]),
        (message(SOCKET, Said().payload(), INTERRUPTED), [Said().line() + " interrupted"]),
        (message(DONE, struct.pack("=i", -2)), ["refused 2"]),
        (message(ERROR, struct.pack("=i", -13)), ["refused 13"]),
        (message(ERROR, struct.pack("=i", -(2**31))), ["refused 71"]),
        (message(ERROR, bytes(4)), ["other"]),
        (message(1, b"") + message(DONE, b""), ["other", "done"]),
        (b"\0", ["garbage"]),
        (bytes(16), ["garbage"]),
        (struct.pack("=IHHII", 17, DONE, 0, 0, 0), ["garbage"]),
        (struct.pack("=IHHII", 15, DONE, 0, 0, 0), ["garbage"]),
        (message(SOCKET, Said().payload()[:71]), ["garbage"]),
        (message(SOCKET, b"\1" + Said().payload()[1:]), ["garbage"]),
        (message(SOCKET, Said(info=0).payload() + struct.pack("=HH", 3, INFO)), ["garbage"]),
        (message(SOCKET, Said(info=0).payload() + struct.pack("=HH", 5, INFO)), ["garbage"]),
    ],
)
def test_every_kind_of_message_is_parsed(library: Library, data: bytes, said: list[str]) -> None:
    assert library.diag(data) == said


@given(said=SAID, cut=st.integers(0, 400))
def test_a_truncated_message_is_garbage(library: Library, said: Said, cut: int) -> None:
    data = message(SOCKET, said.payload())
    assert library.diag(data[:cut]) in ([], ["garbage"], [said.line()])


@given(said=SAID, at=st.integers(0, 400), junk=st.binary(max_size=8))
def test_junk_in_a_message_does_not_crash_the_parser(
    library: Library, said: Said, at: int, junk: bytes
) -> None:
    data = message(SOCKET, said.payload())
    library.diag(data[:at] + junk + data[at + len(junk) :])
    library.diag(data[:at] + junk + data[at:])


@given(st.binary(max_size=300))
def test_arbitrary_bytes_do_not_crash_the_diag_parser(library: Library, data: bytes) -> None:
    library.diag(data)
    library.diag(message(SOCKET, data) + message(DONE, data))


def ask(request: bytes) -> bytes:
    with socket.socket(AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG) as kernel:
        kernel.send(request)
        return kernel.recv(1 << 16)


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_requests_and_parsing_match_the_running_kernel(
    library: Library, family: socket.AddressFamily, host: str
) -> None:
    with socket.socket(family) as server:
        server.bind((host, 0))
        server.listen()
        with (
            socket.create_connection(server.getsockname()[:2]) as theirs,
            server.accept()[0] as ours,
        ):
            theirs.sendall(b"GET")
            ours.sendall(b"a longer answer")
            ours.recv(1)
            inode = os.fstat(ours.fileno()).st_ino
            wanted = [printed(ipaddress.ip_address(end[0]), end[1])
                      for end in (ours.getsockname(), ours.getpeername())]  # fmt: skip
            rows = library.diag(ask(library.diag_request(family, False, 1 << 1)))
    (found,) = (row.split()[2:] for row in rows if row.split()[:2] == wanted)
    assert (found[0], found[2], found[3]) == ("1", "2", str(inode))
    assert (found[4], found[5]) == ("0", "0")
    assert 200 <= int(found[6]) < 1_000
    assert found[7:9] == ["3", "15"]
    assert all(int(idle) < 10_000 for idle in found[9:])


def test_an_mptcp_request_is_answered_or_refused(library: Library) -> None:
    said = library.diag(ask(library.diag_request(socket.AF_INET, True, 1 << 7)))
    assert said in (["done"], ["refused 2"])


def ends(remote_port: int, state: int, inode: int) -> Row:
    return Row(local=Address(port=80), remote=Address(port=remote_port), state=state, inode=inode)


def test_a_subflow_takes_the_state_of_its_mptcp_socket(library: Library) -> None:
    closing = [ends(port, 5, 1000 + port) for port in range(1, 200)]
    assert library.mptcp(closing, ends(7, 1, 9)) == (5, 1007)
    assert library.mptcp(closing, ends(200, 1, 9)) == (1, 9)
    assert library.mptcp(closing, ends(7, 6, 0)) == (6, 0)
    assert library.mptcp([ends(7, 1, 3)], ends(7, 8, 9)) == (8, 9)


@pytest.mark.parametrize("count", [2_000, 20_000])
def test_more_closing_mptcp_sockets_than_fit_do_not_overflow(library: Library, count: int) -> None:
    closing = [ends(number, 5, 1) for number in range(1, count)]
    assert library.mptcp(closing, ends(1, 1, 9)) in ((1, 9), (5, 1))
