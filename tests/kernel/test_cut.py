"""Connections that count as cut: those in use that end with the process that holds them."""

import contextlib
import subprocess
import sys

import pytest

from bench.rig.churn import reset
from bench.rig.netns import Netns
from tests.kernel.pair import PORT, SERVER, Pair, ss_states
from tests.kernel.probe import Probe
from tests.waiting import eventually

pytestmark = pytest.mark.root

CLIENT = f"""
import socket, sys
connection = socket.create_connection(("{SERVER}", {PORT}))
connection.sendall(b"GET /")
print("sent", flush=True)
sys.stdin.read()
"""


def cut(probe: Probe, namespace: Netns) -> int:
    return int(probe.read(namespace).cut)


def held_by_another(pair: Pair, stack: contextlib.ExitStack, used: bool) -> subprocess.Popen[bytes]:
    """A process that alone holds an accepted connection."""
    listener = stack.enter_context(pair.listen())
    client, accepted = pair.connect(listener)
    stack.enter_context(client)
    if used:
        client.sendall(b"GET /")
        accepted.recv(5)
    holder = subprocess.Popen(["sleep", "infinity"], pass_fds=[accepted.fileno()])
    stack.callback(holder.wait)
    stack.callback(holder.kill)
    accepted.close()
    return holder


def test_a_used_connection_that_ends_with_its_process_is_cut(pair: Pair, probe: Probe) -> None:
    with contextlib.ExitStack() as stack:
        holder = held_by_another(pair, stack, used=True)
        eventually(lambda: ss_states(pair.server) == {"ESTABLISHED": 1})
        assert cut(probe, pair.server) == 0
        holder.kill()
        eventually(lambda: cut(probe, pair.server) == 1)


def test_an_unused_connection_is_not_cut(pair: Pair, probe: Probe) -> None:
    with contextlib.ExitStack() as stack:
        holder = held_by_another(pair, stack, used=False)
        holder.kill()
        eventually(lambda: "ESTABLISHED" not in ss_states(pair.server))
        assert cut(probe, pair.server) == 0


def test_a_connection_whose_peer_is_killed_is_not_cut(pair: Pair, probe: Probe) -> None:
    """Its reset closes the connection while its own process ends, on the same CPU."""
    with pair.listen() as listener:
        for _ in range(20):
            argv = pair.client.command([sys.executable, "-c", CLIENT])
            with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
                assert client.stdout and client.stdout.readline() == b"sent\n"
                accepted = listener.accept()[0]
                accepted.sendall(b"unread")
                client.kill()
            eventually(lambda: not ss_states(pair.server))
            accepted.close()
    assert cut(probe, pair.server) == 0


def test_a_connection_that_the_server_closes_is_not_cut(pair: Pair, probe: Probe) -> None:
    with pair.listen() as listener:
        for close in (lambda end: end.close(), reset):
            client, accepted = pair.connect(listener)
            client.sendall(b"GET /")
            accepted.recv(5)
            close(accepted)
            client.close()
    eventually(lambda: "ESTABLISHED" not in ss_states(pair.server))
    assert cut(probe, pair.server) == 0
