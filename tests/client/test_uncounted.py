"""Listeners of nginx that cannot be counted: the drain keeps min-wait, and reports them."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig.netns import Netns
from tests.client.fake_daemon import Conversation, FakeDaemon
from tests.client.long_download import hook, sidecar
from tests.client.run import run
from tests.e2e.plain_nginx import PlainNginx

__all__ = ["sidecar"]

UDP = "stream { server { listen 8053 udp reuseport; listen [::]:8053 udp; proxy_pass [::1]:9; } }"


@pytest.fixture
def upstream(pod_netns: Netns) -> Iterator[socket.socket]:
    """An upstream to which nginx keeps an idle connection."""
    with pod_netns.socket() as listener:
        listener.bind(("127.0.0.1", 9000))
        listener.listen()
        yield listener


@pytest.fixture
def nginx(pod_netns: Netns, tmp_path: Path) -> Iterator[PlainNginx]:
    listen = f"listen unix:{tmp_path}/web.sock;"
    running = PlainNginx(pod_netns, tmp_path / "n", listen=listen, main=UDP)
    yield running
    running.close()


@pytest.mark.root
def test_unix_and_udp_listeners_are_reported(
    pod_netns: Netns, nginx: PlainNginx, client: Path, tmp_path: Path, sidecar: socket.socket
) -> None:
    """The connection to a sidecar is not counted."""
    waiting = hook(pod_netns, client, "--verbose", "--no-roll")
    assert waiting.line("counts on the ports") == "counts on the ports (none)"
    cannot = f"cannot count unix {tmp_path}/web.sock, udp 8053"
    assert waiting.line("settling, 0 in flight").endswith(f" s to go; {cannot}")
    ended = waiting.end()
    assert (ended.status, ended.seconds >= 0.3) == (0, True)
    assert ended.last.endswith(f" s: nothing in flight over TCP; {cannot}")


@pytest.mark.root
def test_an_idle_connection_to_an_upstream_is_not_in_flight(
    pod_netns: Netns, tmp_path: Path, client: Path, upstream: socket.socket
) -> None:
    """Nor is the sidecar's end of the connection."""
    listen = f"listen unix:{tmp_path}/web.sock; location = /up {{ proxy_pass http://up;"
    listen += ' proxy_http_version 1.1; proxy_set_header Connection ""; } }'
    listen += " upstream up { server 127.0.0.1:9000; keepalive 4; }"
    listen += f" server {{ listen unix:{tmp_path}/b;"
    nginx = PlainNginx(pod_netns, tmp_path / "n", listen=listen)
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(tmp_path / "web.sock"))
            asking.sendall(b"GET /up HTTP/1.0\r\n\r\n")
            kept, _ = upstream.accept()
            with kept:
                kept.recv(4096)
                kept.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                assert b"200 OK" in asking.recv(4096)
                ended = hook(pod_netns, client, "--no-roll", "--timeout=2s").end()
        assert ended.status == 0, ended.output
    finally:
        nginx.close()


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("", "drained, 0 in flight, 0.0 s: cannot count unix /a, udp 53"),
        ("quiet", "drained, 0 in flight, 0.0 s: quiet; cannot count unix /a, udp 53"),
        ("nothing; cannot count x", "drained, 0 in flight, 0.0 s: nothing; cannot count x"),
    ],
)
def test_listeners_that_the_daemon_cannot_count_are_reported_once(
    client: Path, socket_path: Path, reason: str, said: str
) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head()
        daemon.line(result="drained", reason=reason, uncounted=["unix /a", "udp 53"])

    with FakeDaemon(socket_path, script):
        ended = run(client, f"--socket={socket_path}")
    assert ended.status == 0
    assert ended.last.replace(", 0.1 s", ", 0.0 s") == said


def test_connections_in_other_namespaces_are_reported(client: Path, socket_path: Path) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("waiting", 1, elsewhere=2, unreachable=3, unused=1)
        daemon.line(result="drained")

    with FakeDaemon(socket_path, script):
        ended = run(client, f"--socket={socket_path}")
    assert ended.lines[0].startswith("waiting, 1 in flight (ESTABLISHED 1, elsewhere 2), 3 unre")
    assert "3 unreachable, 1 unused, 0." in ended.lines[0]
