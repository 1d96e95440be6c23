"""Connections of the host's probing processes, which the kernel distinguishes from all others."""

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig.churn import reset
from bench.rig.netns import Netns, fresh_netns, ip, link
from drainmon.kernel.maps import Map
from drainmon.kernel.wire import CountedAs, Handshake
from drainmon.model.standing import Socket
from tests.kernel.pair import CLIENT, PORT, SERVER, SERVER6, Pair, await_last_ack
from tests.kernel.probe import Probe
from tests.waiting import eventually

pytestmark = pytest.mark.root

HANDSHAKES_KEPT = 8192

OWN_NAME = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
"""The tests themselves are the probing process; the client's namespace acts as the host's."""


@pytest.fixture
def probe(pair: Pair, probe: Probe) -> Probe:
    probe.conntrack.find_probes([pair.client.inode], [OWN_NAME])
    return probe


def probes(probe: Probe, namespace: Netns) -> tuple[int, int]:
    """Open probes, and all probes so far."""
    counters = probe.read(namespace)
    return counters.by_state[CountedAs.PROBE], counters.probes


def last_accept(probe: Probe, namespace: Netns) -> int:
    return int(probe.read(namespace).last_accept_ns)


def one_socket(probe: Probe, namespace: Netns) -> Socket:
    (found,) = probe.snapshot(namespace).sockets
    return found


@pytest.mark.parametrize("server", [SERVER, SERVER6])
def test_a_probe_is_counted_separately(pair: Pair, probe: Probe, server: str) -> None:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with pair.listen(family) as listener, pair.dial(server) as client:
        accepted, _ = listener.accept()
        assert probe.counters(pair.server) == {"PROBE": 1}
        assert probes(probe, pair.server) == (1, 1)
        assert probe.accepted(pair.server) == 1
        assert last_accept(probe, pair.server) == 0
        assert one_socket(probe, pair.server).probe
        assert not one_socket(probe, pair.server).in_flight
        client.sendall(b"GET /healthz")
        accepted.recv(100)
        client.close()
        eventually(lambda: one_socket(probe, pair.server).state.name == "CLOSE_WAIT")
        assert probes(probe, pair.server) == (1, 1)
        accepted.close()
        eventually(lambda: probes(probe, pair.server) == (0, 1))
    assert handshakes(probe) == 0
    assert not any(probe.conntrack.lost().values())


def handshakes(probe: Probe) -> int:
    """The number of entries in the kernel's map of handshakes whose peer was not seen."""
    listed = subprocess.run(
        ["bpftool", "-j", "map", "dump", "id", str(handshakes_id(probe))],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return len(json.loads(listed))


def map_fd(probe: Probe) -> int:
    return probe.conntrack._programs.map("handshakes")


def handshakes_id(probe: Probe) -> int:
    fdinfo = Path(f"/proc/self/fdinfo/{map_fd(probe)}").read_text()
    return int(dict(line.split(":", 1) for line in fdinfo.splitlines())["map_id"])


def client_first(client: socket.socket, accepted: socket.socket) -> None:
    client.close()
    accepted.close()


def server_first(client: socket.socket, accepted: socket.socket) -> None:
    accepted.close()
    client.close()


def reset_by_client(client: socket.socket, accepted: socket.socket) -> None:
    reset(client)
    accepted.close()


def reset_by_server(client: socket.socket, accepted: socket.socket) -> None:
    reset(accepted)
    client.close()


@pytest.mark.parametrize("end", [client_first, server_first, reset_by_client, reset_by_server])
def test_every_ending_removes_the_probe(
    pair: Pair, probe: Probe, end: Callable[[socket.socket, socket.socket], None]
) -> None:
    with pair.listen() as listener:
        for _ in range(5):
            end(*pair.connect(listener))
        eventually(lambda: probes(probe, pair.server) == (0, 5))
    eventually(lambda: probe.counters(pair.server) == {})
    assert last_accept(probe, pair.server) == 0


def other_process(
    namespace: Netns, name: str, address: str, port: int = PORT
) -> subprocess.Popen[bytes]:
    """A process of that name with a connection, which it closes when its input ends."""
    script = (
        "import ctypes, socket, sys;"
        f"ctypes.CDLL(None).prctl(15, {name.encode()!r}, 0, 0, 0);"
        f"c = socket.create_connection(({address!r}, {port}), 10);"
        "print('open', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        namespace.command([sys.executable, "-c", script]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.communicate(timeout=10)


def test_a_process_of_another_name_is_traffic(pair: Pair, probe: Probe) -> None:
    with pair.listen():
        traffic = other_process(pair.client, OWN_NAME + "x", SERVER)
        try:
            assert probe.counters(pair.server) == {"ESTABLISHED": 1}
            assert last_accept(probe, pair.server) > 0
            assert one_socket(probe, pair.server).in_flight
        finally:
            end(traffic)
        same = other_process(pair.client, OWN_NAME, SERVER)
        try:
            assert probes(probe, pair.server) == (1, 1)
        finally:
            end(same)


def test_a_process_of_another_namespace_is_traffic(pair: Pair, probe: Probe) -> None:
    """The pod's own process, with the name of a probing process."""
    with pair.listen() as listener:
        client = pair.server.socket()
        with client:
            client.connect((SERVER, PORT))
            accepted, _ = listener.accept()
            with accepted:
                assert probes(probe, pair.server) == (0, 0)
                assert probe.counters(pair.server)["ESTABLISHED"] == 1


@pytest.fixture
def behind_nat(pair: Pair) -> Iterator[Netns]:
    """A namespace whose packets reach the server with the client's address."""
    with fresh_netns() as inner:
        link(inner, "10.78.0.2/24", pair.client, "10.78.0.1/24")
        ip("-n", inner.name, "route", "add", "default", "via", "10.78.0.1")
        forward = "echo 1 >/proc/sys/net/ipv4/ip_forward"
        subprocess.run(pair.client.command(["sh", "-c", forward]), check=True)
        rule = ["-t", "nat", "-A", "POSTROUTING", "-s", "10.78.0.2", "-j", "MASQUERADE"]
        subprocess.run(pair.client.command(["iptables", *rule]), check=True)
        yield inner


def test_traffic_with_the_hosts_address_is_not_a_probe(
    pair: Pair, probe: Probe, behind_nat: Netns
) -> None:
    with pair.listen(), ExitStack() as stack:
        stack.enter_context(pair.dial())
        traffic = other_process(behind_nat, OWN_NAME, SERVER)
        stack.callback(end, traffic)
        found = probe.snapshot(pair.server).sockets
        assert {s.remote[-4:] for s in found} == {socket.inet_aton(CLIENT)}
        assert sorted(s.probe for s in found) == [False, True]
        assert probe.counters(pair.server) == {"ESTABLISHED": 1, "PROBE": 1}
        assert last_accept(probe, pair.server) > 0


def test_probes_over_the_hosts_loopback_are_recognized(pair: Pair, probe: Probe) -> None:
    """nginx in the host's own namespace."""
    listener, client = pair.client.socket(), pair.client.socket()
    probe.conntrack.add_port(pair.client.inode, PORT)
    with listener, client:
        listener.bind(("127.0.0.1", PORT))
        listener.listen()
        client.connect(("127.0.0.1", PORT))
        await_last_ack(pair.client, client)
        assert probes(probe, pair.client) == (1, 1)


@pytest.mark.core
def test_a_probe_older_than_the_programs_is_found(pair: Pair) -> None:
    with pair.listen() as listener, ExitStack() as stack:
        for connection in (*pair.connect(listener), *pair.connect(listener)):
            stack.enter_context(connection)
        traffic = other_process(pair.client, OWN_NAME + "x", SERVER)
        stack.callback(end, traffic)
        probe = Probe(pair.server)
        stack.callback(probe.conntrack.close)
        probe.conntrack.find_probes([pair.client.inode], [OWN_NAME])
        for _ in range(2):
            found = probe.snapshot(pair.server).sockets
            assert sorted(s.probe for s in found) == [False, True, True]
        assert probe.counters(pair.server) == {}


def test_handshakes_are_removed_with_their_connection(pair: Pair, probe: Probe) -> None:
    """The peer may be on another node: here its port is not counted."""
    probe.conntrack.forget_port(pair.server.inode, PORT)
    with pair.listen() as listener:
        client, accepted = pair.connect(listener)
        assert handshakes(probe) == 1
        client.close()
        accepted.close()
        eventually(lambda: handshakes(probe) == 0)


def test_old_handshakes_make_room_for_new_ones(pair: Pair, probe: Probe) -> None:
    """As after missed events."""
    handshakes_map = Map(probe.conntrack._programs.lib, map_fd(probe), "handshakes")
    for number in range(2 * HANDSHAKES_KEPT):
        assert handshakes_map.set(Handshake(0, number), ctypes.c_uint32(1))
    with pair.listen(), pair.dial():
        assert probe.counters(pair.server) == {"PROBE": 1}
        assert not any(probe.conntrack.lost().values())


def test_a_reused_socket_is_checked_again(pair: Pair, probe: Probe) -> None:
    """Disconnected by connect(AF_UNSPEC): its next user's name is read again."""
    with pair.listen() as listener, pair.dial() as client:
        first, _ = listener.accept()
        first.close()
        disconnect(client)
        client.connect((SERVER, PORT))
        eventually(lambda: probes(probe, pair.server)[1] == 2)


def disconnect(connection: socket.socket) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.connect(connection.fileno(), bytes(16), 16) == 0, os.strerror(ctypes.get_errno())


@pytest.mark.core
def test_no_connection_is_a_probe_without_names(pair: Pair) -> None:
    probe = Probe(pair.server)
    try:
        with pair.listen(), pair.dial():
            assert probe.counters(pair.server) == {"ESTABLISHED": 1}
    finally:
        probe.conntrack.close()
