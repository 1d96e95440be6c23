"""A connection that no process holds and that outlives its namespace."""

import socket
import subprocess

from bench.rig.netns import Netns, ip

PORT = 80


def leave_an_orphan(namespace: Netns) -> None:
    """Leave both ends of a connection in FIN-WAIT-1, closed by their process: their data is not
    acknowledged, as loopback is down. A namespace deleted now keeps them until they time out."""
    server, client = namespace.call(_connect)
    ip("-n", namespace.name, "link", "set", "lo", "down")
    server.close()
    client.close()
    ss = namespace.command(["ss", "-Htn", "state", "fin-wait-1", f"sport = :{PORT}"])
    listed = subprocess.run(ss, check=True, capture_output=True, text=True).stdout
    assert len(listed.splitlines()) == 1, f"no orphan: {listed!r}"


def _connect() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", PORT)) as listener:
        client = socket.create_connection(("127.0.0.1", PORT))
        return listener.accept()[0], client
