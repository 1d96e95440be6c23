"""A pod with a plain server, for a client that counts alone."""

import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.rig.netns import Netns, add_address, link
from tests.client.run import Client

PORT = 8080
REFUSE = str(Path(__file__).with_name("refuse.py"))
WITHOUT_DIAG = [sys.executable, REFUSE, "socket"]
"""The client reads the files of /proc/self/net instead."""

QUICK = ["--no-pod-log", "--min-wait=0.3s", "--quiet=0.2s"]


class Pod:
    """A netns with a listener on [::]:PORT, IPv4 included, and its clients outside."""

    def __init__(self, netns: Netns, outside: Netns, client: Path, socket_path: Path) -> None:
        self.netns = netns
        self.outside = outside
        self.client = client
        self.socket_path = socket_path
        self._open = ExitStack()
        _, inside = link(outside, "10.77.0.2/24", netns, "10.77.0.1/24")
        add_address(netns, inside, "fd77::1/64")
        there = next(
            line.split()[1].split("@")[0]
            for line in subprocess.run(
                ["ip", "-n", outside.name, "-o", "link", "show", "type", "veth"],
                check=True, capture_output=True, text=True,
            ).stdout.splitlines()
        )  # fmt: skip
        add_address(outside, there, "fd77::2/64")
        self.listener = self.keep(netns.socket(socket.AF_INET6))
        self.listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.listener.bind(("::", PORT))
        self.listener.listen(512)

    def keep(self, made: socket.socket) -> socket.socket:
        return self._open.enter_context(made)

    def close(self) -> None:
        self._open.close()

    def connect(self, address: str = "10.77.0.1") -> tuple[socket.socket, socket.socket]:
        """An accepted connection: the outside's end and the pod's."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        theirs = self.keep(self.outside.socket(family))
        theirs.settimeout(5)
        theirs.connect((address, PORT))
        ours, _ = self.listener.accept()
        return theirs, self.keep(ours)

    def start(self, *arguments: str, under: Sequence[str] = ()) -> Client:
        """Start the client in the pod, by the command `under` if given."""
        argv = [str(self.client), f"--socket={self.socket_path}", *QUICK, *arguments]
        return Client(self.netns.command([*under, *argv]))

    def cut_off(self, theirs: socket.socket) -> None:
        """Drop every packet from and to this client from now on."""
        port = str(theirs.getsockname()[1])
        program = "ip6tables" if theirs.family == socket.AF_INET6 else "iptables"
        for rule in (["INPUT", "-p", "tcp", "--dport"], ["OUTPUT", "-p", "tcp", "--sport"]):
            argv = [program, "--wait", "--append", *rule, port, "--jump", "DROP"]
            subprocess.run(self.outside.command(argv), check=True)
