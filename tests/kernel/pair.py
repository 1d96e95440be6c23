"""A server's and a client's namespace with a link between them, and ss's list of the server's
sockets."""

import re
import socket
import struct
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.rig.netns import Netns, ip
from tests.waiting import eventually

PORT = 8080
SERVER = "10.77.0.1"
CLIENT = "10.77.0.2"
NOBODY = "10.77.0.99"
SERVER6 = "fd77::1"
CLIENT6 = "fd77::2"

SS_STATES = {
    "ESTAB": "ESTABLISHED",
    "SYN-RECV": "SYN_RECV",
    "FIN-WAIT-1": "FIN_WAIT1",
    "FIN-WAIT-2": "FIN_WAIT2",
    "TIME-WAIT": "TIME_WAIT",
    "CLOSE-WAIT": "CLOSE_WAIT",
    "LAST-ACK": "LAST_ACK",
    "CLOSING": "CLOSING",
}


def ss_states(namespace: Netns, port: int = PORT) -> Counter[str]:
    """Connections on a local port by state, as `ss` in the namespace lists them."""
    output = subprocess.run(
        namespace.command(["ss", "-H", "-t", "-a", "-n", f"sport = :{port}"]),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    states = (line.split()[0] for line in output.splitlines())
    return Counter(SS_STATES[state] for state in states if state != "LISTEN")


def await_last_ack(server: Netns, client: socket.socket) -> None:
    """Wait until the server's end is established, too: connect(2) returns as soon as the last ACK
    is sent, and on a busy CPU a softirq delivers it later."""
    ours, theirs = client.getsockname()[1], client.getpeername()[1]
    row = re.compile(rf":{theirs:04X} \w+:{ours:04X} 01 ")
    net = Path("/proc/thread-self/net")

    def arrived() -> bool:
        return any(row.search((net / table).read_text()) for table in ("tcp", "tcp6"))

    eventually(lambda: server.call(arrived))


@dataclass
class Pair:
    """Server and client, joined by a veth pair. Use sockets(): they are closed at the end."""

    server: Netns
    client: Netns

    def listen(self, family: int = socket.AF_INET, backlog: int = 128) -> socket.socket:
        listener = self.server.socket(family)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", PORT))  # noqa: S104
        listener.listen(backlog)
        return listener

    def dial(self, address: str = SERVER) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = self.client.socket(family)
        connection.settimeout(10)
        connection.connect((address, PORT))
        await_last_ack(self.server, connection)
        return connection

    def connect(self, listener: socket.socket) -> tuple[socket.socket, socket.socket]:
        """A connection's client end and its accepted end."""
        client = self.dial()
        accepted, _ = listener.accept()
        return client, accepted

    def cut(self) -> None:
        ip("-n", self.client.name, "link", "set", self._device(), "down")

    def mend(self) -> None:
        ip("-n", self.client.name, "link", "set", self._device(), "up")

    def _device(self) -> str:
        names = self.client.call(socket.if_nameindex)
        return next(name for _, name in names if name != "lo")

    def send_syn(self, payload: bytes = b"", fast_open: bool = False) -> None:
        """Send a SYN from an address without a host; with Fast Open it carries data."""
        options = b"\x22\x02\x01\x01" if fast_open else b""  # TFO option without a cookie
        header = struct.pack(
            "!HHIIBBHHH", 40000, PORT, 1, 0, (20 + len(options)) // 4 << 4, 0x02, 65535, 0, 0
        )
        segment = header + options + payload
        pseudo = socket.inet_aton(NOBODY) + socket.inet_aton(SERVER)
        pseudo += struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(segment))
        checksum = internet_checksum(pseudo + segment)
        segment = segment[:16] + struct.pack("!H", checksum) + segment[18:]
        packet = struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), 1, 0, 64, socket.IPPROTO_TCP, 0,
            socket.inet_aton(NOBODY), socket.inet_aton(SERVER),
        )  # fmt: skip
        raw = self.client.call(
            lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        )
        with raw:
            raw.sendto(packet + segment, (SERVER, 0))


def internet_checksum(data: bytes) -> int:
    """The checksum of RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
