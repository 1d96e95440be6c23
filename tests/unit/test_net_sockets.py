"""Sockets of every kind in /proc/<pid>/net."""

import os
import socket
from pathlib import Path

import pytest

from drainmon.procfs.net_sockets import NAMED, ephemeral_ports, not_in, udp_listeners, uncountable
from drainmon.procfs.process import socket_inodes

UNIX = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 21 /run/web server.sock
0000000000000000: 00000003 00000000 00000000 0001 03 22 /run/web server.sock
0000000000000000: 00000003 00000000 00000000 0001 03 23
0000000000000000: 00000002 00000000 00010000 0001 01 24 @abstract
torn
"""
UDP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
  1: 00000000:1F75 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 31 2 0000 0
  2: 0100007F:9C40 0100007F:0035 01 00000000:00000000 00:00000000 00000000 0 0 32 2 0000 0
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    net = tmp_path / "7" / "net"
    net.mkdir(parents=True)
    (net / "unix").write_text(UNIX)
    (net / "udp").write_text(UDP)
    return tmp_path


def test_unix_and_udp_listeners_are_named(root: Path) -> None:
    held = {21, 22, 23, 31, 32}
    assert uncountable(7, held, root=root) == ["udp 8053", "unix /run/web server.sock"]
    assert uncountable(7, {24}, root=root) == ["unix @abstract"]
    assert uncountable(7, set(), root=root) == []


def test_connections_of_a_quitting_worker_name_their_listener(root: Path) -> None:
    assert uncountable(7, set(), {22, 23}, root) == ["unix /run/web server.sock"]
    assert uncountable(7, set(), {21, 23}, root) == []
    assert uncountable(7, set(), {31}, root) == ["udp 8053"]


def test_a_connected_udp_socket_is_not_a_listener(root: Path) -> None:
    assert udp_listeners(7, {31, 32}, root) == {8053}
    assert udp_listeners(7, {32}, root) == set()


def test_a_limited_number_of_listeners_is_named(root: Path) -> None:
    rows = [f"0: 2 0 00010000 0001 01 {100 + n} /run/{n:04}{'x' * 200}" for n in range(50)]
    (root / "7/net/unix").write_text("\n".join(["Num", *rows]))
    said = uncountable(7, set(range(100, 150)), root=root)
    assert (len(said), said[-1]) == (NAMED + 1, "30 more")
    assert max(map(len, said)) < 120


def test_tables_that_a_kernel_lacks_are_empty(root: Path) -> None:
    assert not_in({21, 22, 23, 24, 31, 32, 99}, 7, root) == {99}


def test_tables_of_an_ended_process_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        not_in({1}, 7, tmp_path)


def test_every_socket_of_this_process_is_in_a_table() -> None:
    kinds = [
        (socket.AF_INET, socket.SOCK_DGRAM),
        (socket.AF_INET6, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_STREAM),
        (socket.AF_NETLINK, socket.SOCK_RAW),
    ]
    made = [socket.socket(*kind) for kind in kinds]
    listener = socket.create_server(("127.0.0.1", 0))
    made[0].bind(("127.0.0.1", 0))
    made[1].bind(("::1", 0))
    made[3].bind((0, 0))
    try:
        own = {os.fstat(one.fileno()).st_ino for one in (*made, listener)}
        assert not_in(own, os.getpid()) == set()
        assert own <= socket_inodes(os.getpid())
    finally:
        for one in (*made, listener):
            one.close()


@pytest.mark.parametrize("text", ["", "one two", "32768"])
def test_an_unreadable_port_range_is_the_kernels_default(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "sys/net/ipv4"
    folder.mkdir(parents=True)
    (folder / "ip_local_port_range").write_text(text)
    assert ephemeral_ports(tmp_path) == range(32768, 61000)


def test_ports_of_outbound_connections_are_ephemeral() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as connection,
    ):
        assert connection.getsockname()[1] in ephemeral_ports()
