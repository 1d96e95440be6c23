"""Very many listeners."""

import socket

from bench.rig.netns import Netns


def listen_on_many(namespace: Netns, ports: range) -> None:
    """Listen on one port after the other, each for a moment."""

    def body() -> None:
        for port in ports:
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", port))
                listener.listen()

    namespace.call(body)
