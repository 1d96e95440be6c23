"""Very many listeners: more than the kernel's memory for them holds."""

import socket

from bench.rig.netns import Netns

PORTS_KEPT = 16384
"""Entries of the map of ports (bpf/maps.h)."""
RING_RECORDS = 256 * 1024 // 32
"""Events that the ring buffer holds."""


def listen_on_many(namespace: Netns, ports: range) -> None:
    """Listen on one after the other, each for a moment."""

    def body() -> None:
        for port in ports:
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", port))
                listener.listen()

    namespace.call(body)
