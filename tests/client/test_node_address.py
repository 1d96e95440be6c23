"""Probes recognized by the node's address, as there is no daemon."""

import ipaddress
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.rig.netns import Netns, add_address, ip
from bench.rig.pod import FakePod
from drainmon.model.tcp import TcpState
from tests.client.library import Library
from tests.client.pod import Pod
from tests.client.run import SLACK, Client
from tests.client.test_arrivals import LISTENER, row
from tests.unit.proc_net import table

NODE = "10.0.0.5"
ANY = "0.0.0.0"  # noqa: S104 - a route to everywhere


def route(destination: str, gateway: str, mask: str) -> bytes:
    """A line of /proc/net/route, of fib_route_seq_show."""
    words = [struct.unpack("=I", ipaddress.IPv4Address(a).packed)[0]
             for a in (destination, gateway, mask)]  # fmt: skip
    text = f"eth0\t{words[0]:08X}\t{words[1]:08X}\t0003\t0\t0\t0\t{words[2]:08X}\t0\t0\t0"
    return text.ljust(127).encode()


def route6(destination: str, prefix: int, gateway: str, flags: int) -> bytes:
    """A line of /proc/net/ipv6_route, of rt6_info_route."""
    packed = [ipaddress.IPv6Address(a).packed.hex() for a in (destination, gateway)]
    source = "0" * 32 + " 00"
    tail = f"00000400 00000001 00000000 {flags:08x}     eth0"
    return f"{packed[0]} {prefix:02x} {source} {packed[1]} {tail}".encode()


@pytest.mark.parametrize(
    ("line", "gateway"),
    [
        (route(ANY, "10.244.1.1", ANY), "10.244.1.1:0"),
        (route(ANY, ANY, ANY), None),
        (route("10.0.0.0", "10.244.1.1", "255.0.0.0"), None),
        (route(ANY, "10.244.1.1", "128.0.0.0"), None),
        (b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU", None),
        (b"", None),
    ],
)
def test_the_gateway_of_an_ipv4_default_route_is_found(
    library: Library, line: bytes, gateway: str | None
) -> None:
    assert library.gateway(line, False) == gateway


@pytest.mark.parametrize(
    ("line", "gateway"),
    [
        (route6("::", 0, "fd77::2", 3), "[fd77::2]:0"),
        (route6("::", 0, "::", 1), None),
        (route6("::", 1, "fd77::2", 3), None),
        (route6("fd78::", 0, "fd77::2", 3), None),
        (b"", None),
    ],
)
def test_the_gateway_of_an_ipv6_default_route_is_found(
    library: Library, line: bytes, gateway: str | None
) -> None:
    assert library.gateway(line, True) == gateway


@given(data=st.binary(max_size=200), at=st.integers(0, 150), v6=st.booleans())
def test_arbitrary_bytes_do_not_crash_the_route_parser(
    library: Library, data: bytes, at: int, v6: bool
) -> None:
    library.gateway(data, v6)
    line = route6("::", 0, "fd77::2", 3) if v6 else route(ANY, "10.244.1.1", ANY)
    library.gateway(line[:at] + data + line[at:], v6)
    library.gateway(line[:at], v6)


def test_connections_of_the_node_are_not_arrivals(library: Library) -> None:
    probe = row(NODE, 1, TcpState.TIME_WAIT, 80)
    client = row("192.0.2.1", 1, TcpState.ESTABLISHED, 80)
    assert library.arrivals(table(LISTENER), 7, nodes=NODE, first=True) == 0
    assert library.arrivals(table(LISTENER, probe), 8) == 0
    assert library.arrivals(table(LISTENER, probe), 9) == 1
    assert library.arrivals(table(LISTENER, probe, client), 10) == 1


@contextmanager
def every(seconds: float, connect: Callable[[], object]) -> Iterator[None]:
    over = threading.Event()

    def check() -> None:
        while not over.wait(seconds):
            connect()

    checking = threading.Thread(target=check)
    checking.start()
    try:
        yield
    finally:
        over.set()
        checking.join()


def get(pod: FakePod, source: str) -> bytes:
    """One probe, as by the kubelet: a new connection, from an address of the client's side."""
    with pod.client.socket() as made:
        made.settimeout(10)
        made.bind((source, 0))
        made.connect((pod.address, pod.port))
        made.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := made.recv(4096):
            answer += piece
    return answer


def hook(pod: FakePod, client: Path, *arguments: str) -> Client:
    enter = ["nsenter", f"--target={pod.master_pid}", "--net", "--pid", "--mount", "--"]
    always = ["--socket=/nonexistent", "--min-wait=0.5s", "--quiet=1s", "--timeout=8s"]
    return Client([*enter, str(client), *always, *arguments])


@pytest.fixture
def probed(outside: Netns, nginx: Path) -> Iterator[FakePod]:
    with FakePod(outside, nginx=nginx, workers=1) as running:
        yield running


@pytest.mark.root
def test_probes_of_the_node_do_not_restart_the_quiet_period(probed: FakePod, client: Path) -> None:
    with every(0.2, lambda: get(probed, probed.client_address)):
        ended = hook(probed, client, f"--node-address={probed.client_address}").end()
    assert ended.status == 0
    assert 1.0 <= ended.seconds < 2 + SLACK


@pytest.mark.root
def test_connections_of_other_clients_restart_the_quiet_period(
    probed: FakePod, client: Path
) -> None:
    other = str(ipaddress.IPv4Address(probed.client_address) + 5)
    device = next(name for name in probed.client.call(socket.if_nameindex) if name[1] != "lo")[1]
    add_address(probed.client, device, f"{other}/32")
    with every(0.2, lambda: get(probed, other)):
        node = f"--node-address={probed.client_address}"
        ended = hook(probed, client, node, "--timeout=4s").end()
    assert ended.status == 0
    assert ended.seconds >= 2


@pytest.mark.root
def test_drain_waits_for_open_connections_of_the_node(pod: Pod) -> None:
    theirs, ours = pod.connect()
    theirs.sendall(b"G")
    ip("-n", pod.netns.name, "route", "add", "default", "via", "10.77.0.2")
    waiting = pod.start("--node-address=gateway", "--no-roll", "--timeout=20s")
    waiting.line("waiting, 1 in flight (ESTABLISHED 1)")
    for end in (theirs, ours):
        end.close()
    assert waiting.end().status == 0


@pytest.mark.root
@pytest.mark.parametrize(
    ("family", "address", "peer"), [("-4", "10.77.0.1", "10.77.0.2"), ("-6", "fd77::1", "fd77::2")]
)
def test_probes_from_the_gateway_do_not_restart_the_quiet_period(
    pod: Pod, family: str, address: str, peer: str
) -> None:
    ip(family, "-n", pod.netns.name, "route", "add", "default", "via", peer)

    def probe() -> None:
        for end in reversed(pod.connect(address)):
            end.close()

    with every(0.2, probe):
        ended = pod.start("--node-address=192.0.2.1,gateway", "--quiet=1s", "--timeout=20s").end()
    assert ended.status == 0
    assert ended.seconds < 5 + SLACK


@pytest.mark.parametrize("value", ["gateways", "node1", "", "10.0.0.1,,"])
def test_a_bad_node_address_is_refused(client: Path, value: str) -> None:
    ended = Client([str(client), "--no-pod-log", f"--node-address={value}"]).end()
    assert ended.status == 2
    assert "is neither an address nor a network" in ended.last
