"""Situations in which a misjudged connection would be lost or held for nothing. Each prepares a
scene, and returns its check (tests/e2e/scenes.py)."""

import signal
import socket
import ssl
import subprocess
import time

from bench.rig.http3.pod import certificate
from bench.rig.netns import fresh_netns
from tests.e2e.scenes import ALONE, RATE, Check, Ended, Scene, Situation
from tests.waiting import eventually


def whole(size: int) -> Check:
    """Drained, and the client has its bytes."""

    def check(ended: Ended) -> None:
        assert ended.got == [size], ended.output
        assert ended.status == 0, ended.output
        assert "cut" not in ended.last

    return check


def says(status: int, *texts: str) -> Check:
    def check(ended: Ended) -> None:
        assert ended.status == status, ended.output
        for text in texts:
            assert text in ended.last, ended.output

    return check


def only_the_server_speaks(scene: Scene) -> Check:
    """A feed through stream{}: the client never sends a byte, and the feed pauses."""
    pieces, pause = 12, 0.5
    backend = scene.stack.enter_context(scene.namespace.socket())
    backend.bind(("127.0.0.1", 9021))
    backend.listen()

    def serve() -> None:
        with backend.accept()[0] as feed:
            for _ in range(pieces):
                feed.sendall(b"x" * 1000)
                time.sleep(pause)

    scene.client(serve)
    scene.nginx(main="stream { server { listen 8021; proxy_pass 127.0.0.1:9021; } }")
    connection = scene.connect(8021)

    def read() -> int:
        received = 0
        while data := connection.recv(1 << 16):
            received += len(data)
        return received

    scene.client(read)

    def check(ended: Ended) -> None:
        assert sorted(ended.got, key=str) == [1000 * pieces, None], ended.output
        assert ended.status == 0

    return check


def an_upload_is_answered_early(scene: Scene) -> Check:
    """413 amid a chunked upload: nginx has shut down its half, and continues to read."""
    scene.nginx(
        "listen 8080; client_max_body_size 1m; location /api { proxy_pass http://[::1]:9; }"
    )
    connection = scene.connect()
    connection.sendall(b"POST /api HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"%x\r\n" % 100_000 + b"x" * 100_000 + b"\r\n"
    for _ in range(15):
        connection.sendall(chunk)

    def upload() -> bytes:
        for _ in range(25):
            time.sleep(0.2)
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
        return connection.recv(4096)[:12]

    scene.client(upload)

    def check(ended: Ended) -> None:
        assert ended.got == [b"HTTP/1.1 413"], ended.output
        assert ended.status == 0

    return check


def nginx_quits_already(scene: Scene) -> Check:
    """`nginx -s quit` before the hook: nothing listens any more."""
    nginx = scene.nginx(f"listen 8080; {scene.slow(6)}")
    scene.download(scene.connect())
    nginx.signal(signal.SIGQUIT)
    eventually(lambda: "gracefully shutting down" in nginx.log())
    return whole(RATE * 6)


def a_reload_has_removed_the_port(scene: Scene) -> Check:
    nginx = scene.nginx(f"listen 8080; {scene.slow(6)}")
    scene.download(scene.connect())
    nginx.configure("listen 8081;")
    nginx.signal(signal.SIGHUP)
    eventually(lambda: "gracefully shutting down" in nginx.log())
    return whole(RATE * 6)


def the_listener_is_inherited_from_another_namespace(scene: Scene) -> Check:
    outside = scene.stack.enter_context(fresh_netns("drainmon-outside"))
    listener = scene.stack.enter_context(outside.socket())
    listener.bind(("127.0.0.1", 8080))
    listener.listen(511)
    fd = listener.fileno()
    nginx = scene.nginx(f"listen 127.0.0.1:8080; {scene.slow(6)}", inherit=fd)
    scene.download(scene.connect(where=outside))
    assert nginx.running()
    return whole(RATE * 6)


def nginx_listens_on_a_unix_socket(scene: Scene) -> Check:
    path = scene.folder / "web.sock"
    scene.nginx(f"listen unix:{path};")

    def check(ended: Ended) -> None:
        says(0, "nothing in flight over TCP", f"cannot count unix {path}")(ended)
        assert seconds(ended) >= 1.0

    return check


def nginx_listens_on_udp(scene: Scene) -> Check:
    scene.nginx(main="stream { server { listen 8053 udp; proxy_pass 127.0.0.1:9053; } }")

    def check(ended: Ended) -> None:
        says(0, "roll: quit", "drained")(ended)
        assert seconds(ended) >= 1.0

    return check


def seconds(ended: Ended) -> float:
    """The seconds in the hook's last line: `drained, 0 in flight, 1.0 s: why`."""
    words = ended.last.replace(":", " ").split()
    return float(words[words.index("s") - 1])


def a_client_has_vanished(scene: Scene) -> Check:
    """During a download, with bytes unacknowledged; another client after a complete response."""
    scene.flags |= {"unreachable_after": "1s"}
    scene.nginx(f"listen 8080; {scene.slow(60)}")
    downloading, idle = scene.connect(), scene.connect()
    downloading.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
    idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert downloading.recv(1000)
    assert idle.recv(1000)
    for connection in (downloading, idle):
        port = str(connection.getsockname()[1])
        for chain, end in (("INPUT", "--dport"), ("OUTPUT", "--sport")):
            rule = ["iptables", "-w", "-A", chain, "-p", "tcp", end, port, "-j", "DROP"]
            subprocess.run(scene.namespace.command(rule), check=True)

    def check(ended: Ended) -> None:
        says(0, "drained, 0 in flight", "unreachable")(ended)
        assert seconds(ended) < 20

    return check


def a_reader_is_slow(scene: Scene) -> Check:
    """Its window is closed for a while; its kernel answers the probes."""
    scene.flags |= {"unreachable_after": "0.5s"}
    size = 3_000_000
    (scene.folder / "file").write_bytes(b"x" * size)
    scene.nginx(f"listen 8080; location = /file {{ root {scene.folder}; }}")
    connection = scene.connect()
    connection.sendall(b"GET /file HTTP/1.0\r\n\r\n")
    begun = connection.recv(1000)

    def read() -> int:
        time.sleep(6)
        data = len(begun.partition(b"\r\n\r\n")[2])
        while more := connection.recv(1 << 16):
            data += len(more)
        return data

    scene.client(read)
    return whole(size)


def mptcp_clients_stay_open(scene: Scene) -> Check:
    """nginx has closed, the client has not: the subflow stays ESTABLISHED."""
    scene.nginx("listen 8080 multipath;")
    connection = scene.stack.enter_context(
        scene.namespace.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262))
    )
    connection.connect(("127.0.0.1", 8080))
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200 OK" in connection.recv(4096)
    return says(0, "drained, 0 in flight")


def shake_hands(scene: Scene) -> None:
    """A browser's pre-connect over TLS."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    scene.stack.enter_context(context.wrap_socket(scene.connect()))


def meets_its_deadline(ended: Ended) -> None:
    says(1, "deadline, 1 in flight")(ended)
    # On a busy machine a hook gives up before the daemon's last line reaches it.
    if ended.source == ALONE:
        said = ended.last
    elif ended.record["result"] == "deadline":
        said = ended.record["reason"]
    else:
        return
    assert "1 connection seems to have sent no request since it opened" in said


def only_a_tls_handshake_was_made(scene: Scene) -> Check:
    scene.flags |= {"timeout": "6s"}
    scene.nginx(f"listen 8080 ssl; {certificate(scene.folder)}")
    shake_hands(scene)
    return meets_its_deadline


def nginx_gives_up_a_handshake_without_a_request(scene: Scene) -> Check:
    """client_header_timeout shorter than the drain, as documented."""
    scene.nginx(f"listen 8080 ssl; client_header_timeout 4s; {certificate(scene.folder)}")
    shake_hands(scene)
    return says(0, "drained, 0 in flight")


def only_a_proxy_header_was_sent(scene: Scene) -> Check:
    scene.flags |= {"timeout": "6s"}
    scene.nginx("listen 8080 proxy_protocol;")
    scene.connect().sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 8080\r\n")
    return meets_its_deadline


def a_connection_was_never_used(scene: Scene) -> Check:
    scene.nginx()
    scene.connect()

    def check(ended: Ended) -> None:
        says(0, "drained, 0 in flight", "1 unused")(ended)
        assert seconds(ended) < 12

    return check


SITUATIONS: list[Situation] = [
    only_the_server_speaks,
    an_upload_is_answered_early,
    nginx_quits_already,
    a_reload_has_removed_the_port,
    the_listener_is_inherited_from_another_namespace,
    nginx_listens_on_a_unix_socket,
    nginx_listens_on_udp,
    a_client_has_vanished,
    a_reader_is_slow,
    mptcp_clients_stay_open,
    only_a_tls_handshake_was_made,
    nginx_gives_up_a_handshake_without_a_request,
    only_a_proxy_header_was_sent,
    a_connection_was_never_used,
]
