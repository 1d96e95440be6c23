"""Messages of sock_diag as laid out by kernels of several ages."""

import struct
from socket import AF_INET, htons

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.kernel.diag_message import (
    MESSAGE_SIZE,
    SLACK,
    Fields,
    Part,
    Reader,
    parse_inode_and_port,
)

TCP_INFO = bytearray(280)
struct.pack_into("=BB", TCP_INFO, 2, 3, 4)  # retransmits, probes
struct.pack_into("=I", TCP_INFO, 8, 200_000)  # rto
struct.pack_into(
    "=I4xII", TCP_INFO, 44, 10, 20, 30
)  # last_data_sent, last_data_recv, last_ack_recv
struct.pack_into("=Q", TCP_INFO, 128, 1 << 33)  # bytes_received
struct.pack_into("=I", TCP_INFO, 156, 7)  # data_segs_out
struct.pack_into("=Q", TCP_INFO, 200, 1 << 34)  # bytes_sent
OF_INFO = (3, 4, 200_000, 10, 20, 30)

MARK = (15, bytes(4))
SHUTDOWN = (8, bytes(1))


def message(*attributes: tuple[int, bytes], port: int = 80) -> bytes:
    body = struct.pack(
        "=BBBB2H16s16sIQIIIII", AF_INET, 1, 0, 0, htons(port), htons(999),
        b"local", b"remote", 0, 4711, 0, 5, 6, 33, 17,
    )  # fmt: skip
    for kind, value in attributes:
        body += struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), 20, 0, 1, 0) + body


def info(size: int) -> tuple[int, bytes]:
    return 2, bytes(TCP_INFO[:size])


def read(*messages: bytes, reader: Reader | None = None) -> list[Fields]:
    starts = [sum(map(len, messages[:number])) for number in range(len(messages))]
    part = Part(bytearray(b"".join(messages) + b"\xff" * SLACK), starts, False)
    return list((reader or Reader()).read(part))


@pytest.mark.parametrize(
    ("size", "received", "sent"),
    [
        (280, 1 << 33, 1 << 34),
        (208, 1 << 33, 1 << 34),
        (204, 1 << 33, 7),
        (160, 1 << 33, 7),
        (156, 1 << 33, None),
        (104, None, None),
    ],
)
@pytest.mark.parametrize("others", [(), (SHUTDOWN, MARK)])
def test_fields_that_the_kernel_does_not_send_are_none(
    size: int, received: int | None, sent: int | None, others: tuple[tuple[int, bytes], ...]
) -> None:
    one = message(*others, info(size))
    for fields in read(one, one):
        assert fields[1:4] == (AF_INET, 1, 0)
        assert fields[8:12] == (4711, 5, 6, 17)
        assert fields[14:] == (*OF_INFO, received, sent)


def test_layouts_may_differ_from_message_to_message() -> None:
    long, other, short = message(info(280)), message(SHUTDOWN, info(280)), message()
    messages = [long, short, other, other, short, long, short]
    parsed = [(fields[12] > 0, fields[14:20]) for fields in read(*messages)]
    expected = [(True, OF_INFO) if one is not short else (False, (0,) * 6) for one in messages]
    assert parsed == expected


def test_an_attribute_that_is_too_long_is_ignored() -> None:
    torn = bytearray(message(info(280)))
    struct.pack_into("=H", torn, MESSAGE_SIZE, 1000)
    assert read(bytes(torn))[0][12] == 0


def test_inode_and_port_are_parsed() -> None:
    part = Part(bytearray(message(port=8080)), [0], False)
    assert parse_inode_and_port(part, 0) == (17, 8080)


@given(st.lists(st.binary(max_size=400), max_size=4))
def test_arbitrary_attributes_do_not_crash_the_parser(bodies: list[bytes]) -> None:
    messages = []
    for body in bodies:
        padded = body + b"\0" * (-len(body) % 4)
        header = struct.pack("=IHHII", MESSAGE_SIZE + len(padded), 20, 0, 1, 0)
        messages.append(header + message()[16:] + padded)
    assert len(read(*messages)) == len(messages)
