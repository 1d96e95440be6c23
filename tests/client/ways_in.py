"""Daemons at the path or at the abstract name of a pod's netns, and a client that asks them."""

import socket
from pathlib import Path

from bench.rig.netns import Netns
from tests.client.fake_daemon import Conversation
from tests.client.pod import Pod
from tests.client.run import Client, Run

NAME = "@drainmon"


def drained(daemon: Conversation) -> None:
    daemon.head()
    daemon.line(result="drained", in_flight=0)


def cut_short(daemon: Conversation) -> None:
    """An answer that neither another daemon of these tests nor the client alone gives."""
    daemon.head()
    daemon.line(result="cut", in_flight=7)


def dies(daemon: Conversation) -> None:
    daemon.head()
    daemon.phase("settling", 1)


def hangs(daemon: Conversation) -> None:
    daemon.hang()


def answers_garbage(daemon: Conversation) -> None:
    daemon.raw(b"SSH-2.0-OpenSSH_9.2\r\n")


def refuses(daemon: Conversation) -> None:
    daemon.head("403 Forbidden", "application/json")
    daemon.raw(b'{"error":"cannot drain: not of this pod"}')


def ask(where: Netns, client: Path, way: Path | str, *arguments: str) -> Run:
    """Run a client that must not count alone: exit 3 means that it gave up on the daemon."""
    flags = ["--no-pod-log", "--on-missing=fail", f"--socket={way}", *arguments]
    return Client(where.command([str(client), *flags])).end()


def in_flight(pod: Pod) -> tuple[socket.socket, socket.socket]:
    """A connection that has begun a request: it holds a drain for as long as it is open."""
    theirs, ours = pod.connect()
    theirs.sendall(b"G")
    return theirs, ours
