"""UDP (HTTP/3, stream) has no socket per client, so the drain waits for the workers."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bench.rig.netns import Netns
from tests.client.fake_daemon import Conversation, FakeDaemon
from tests.client.library import Library
from tests.client.nginx_library import NginxLibrary
from tests.client.rolling import Nginx, stopped
from tests.client.run import run, wait_until

root = pytest.mark.root
UDP = "stream { server { listen 8053 udp; listen [::]:8053 udp; proxy_pass 127.0.0.1:9053; } }"
Start = Callable[[int], Nginx]


@pytest.fixture
def start(pod_netns: Netns, tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(workers: int) -> Nginx:
            nginx = Nginx(pod_netns, tmp_path / "n", workers, main=UDP)
            stack.callback(nginx.close)
            return nginx

        yield start


@pytest.fixture
def backend(pod_netns: Netns) -> Iterator[socket.socket]:
    with pod_netns.socket(kind=socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 9053))
        made.settimeout(10)
        yield made


@contextmanager
def session(nginx: Nginx, backend: socket.socket, worker: int) -> Iterator[None]:
    """A client for which that worker keeps a session for proxy_timeout."""
    with nginx.netns.socket(kind=socket.SOCK_DGRAM) as made:
        made.connect(("127.0.0.1", 8053))
        with stopped(nginx.workers() - {worker}):
            made.send(b"question")
            assert backend.recv(100) == b"question"
        yield


@root
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_with_udp_are_rolled_by_quit_with_no_tcp_in_flight(
    start: Start, client: Path, workers: int
) -> None:
    nginx = start(workers)
    before = nginx.workers()
    waiting = nginx.hook(client)
    assert waiting.line("settling, 0 in flight").startswith(
        f"settling, 0 in flight, {workers} UDP workers, "
    )
    ended = waiting.end()
    assert ended.status == 0
    assert ended.last.startswith("drained, 0 in flight, roll: quit, ")
    assert "cannot count" not in ended.output
    # A worker that has released its memory has no title any more, and is not reaped yet.
    wait_until(lambda: not nginx.workers() & before, "the old workers' end")
    assert not nginx.signalled(signal.SIGHUP)


@root
def test_no_roll_reports_that_udp_cannot_be_counted(start: Start, client: Path) -> None:
    nginx = start(1)
    before = nginx.workers()
    ended = nginx.hook(client, "--no-roll").end()
    assert (ended.status, nginx.workers()) == (0, before)
    assert ended.last.endswith(" s: nothing in flight over TCP; cannot count udp 8053")


@root
def test_drain_waits_for_a_worker_while_datagrams_arrive(
    start: Start, backend: socket.socket, client: Path
) -> None:
    """Any datagram may be from the worker's clients. (A worker that quits ends a session of nginx's
    stream module at its next datagram; a QUIC session continues.)"""
    nginx = start(2)
    last = max(nginx.workers())
    over = threading.Event()

    def send() -> None:
        with nginx.netns.socket(kind=socket.SOCK_DGRAM) as sender:
            while not over.wait(0.1):
                sender.sendto(b"x", ("127.0.0.1", 9053))
                backend.recv(100)

    with session(nginx, backend, last):
        sending = threading.Thread(target=send)
        sending.start()
        try:
            ended = nginx.hook(client, "--unreachable-after=1s", "--timeout=5s").end()
        finally:
            over.set()
            sending.join()
    assert (ended.status, nginx.signalled(signal.SIGQUIT)[-1]) == (1, last), ended.output
    assert "\ndrainmon: deadline, 0 in flight, 1 UDP workers" in ended.output, ended.output


@root
@pytest.mark.parametrize(("patience", "status"), [("1s", 0), ("0", 1)])
def test_vanished_udp_clients_do_not_hold_the_drain(
    start: Start, backend: socket.socket, client: Path, patience: str, status: int
) -> None:
    nginx = start(2)
    last = max(nginx.workers())
    with session(nginx, backend, last):
        pass
    ended = nginx.hook(client, f"--unreachable-after={patience}", "--timeout=5s").end()
    assert (ended.status, last in nginx.workers()) == (status, True), ended.output
    if status == 0:
        assert ", roll: quit, " in ended.last
        assert ended.last.endswith(" s: nothing in flight over TCP; cannot count udp 8053")


@root
def test_workers_with_udp_that_do_not_react_fail_the_drain(start: Start, client: Path) -> None:
    nginx = start(1)
    (worker,) = nginx.workers()
    with stopped({worker}):
        ended = nginx.hook(client).end()
    assert ended.status == 1
    assert ended.last.startswith("stuck, 0 in flight, 1 UDP workers, roll: failed (nginx's workers")
    wait_until(lambda: worker in nginx.signalled(signal.SIGQUIT), "its end")


def test_clients_that_receive_and_stay_silent_have_vanished(nginx_library: NginxLibrary) -> None:
    def look(now: int, came: int, went: int, *, first: bool = False) -> bool:
        return nginx_library.vanished(now, came, went, answers=True, limit=10_000, first=first)

    assert not look(0, 5, 50, first=True)
    assert not look(8_000, 5, 60)
    assert not look(9_999, 5, 60)
    assert look(10_000, 5, 60)
    assert not look(10_100, 6, 61)  # a datagram arrived
    assert not look(11_000, 6, 62)  # and was acknowledged
    assert not look(30_000, 6, 62)  # nothing is sent to a client that waits
    assert not look(30_100, 6, 63)  # the answer has just begun
    assert not look(32_099, 6, 63)
    assert look(32_100, 6, 63)


def test_clients_that_need_not_answer_vanish_by_silence(nginx_library: NginxLibrary) -> None:
    def look(now: int, limit: int = 10_000, *, first: bool = False) -> bool:
        return nginx_library.vanished(now, 5, 50, answers=False, limit=limit, first=first)

    assert not look(0, first=True)
    assert not look(9_999)
    assert look(10_000)
    assert not look(20_000, 0)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (b'"udp_workers":3', "x 0 udp=3"),
        (b'"udp_workers":"3"', "x 0"),
        (b'"roll":"skipped (no room)"', "x 0 roll=skipped (no room)"),
        (b'"roll":true', "x 0"),
    ],
)
def test_fields_for_udp_are_parsed(library: Library, fields: bytes, said: str) -> None:
    assert library.answer(b'{"phase":"x",%s}' % fields) == ("none", [said])


def test_the_daemons_roll_and_udp_workers_are_printed(client: Path, socket_path: Path) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("rolling", 1, roll="quit", udp_workers=2, unused=1)
        daemon.line(
            result="stuck", in_flight=1, roll="failed (x)", reason="nginx's workers do not react",
            remaining=[{"remote": "10.0.0.9:1", "state": "ESTABLISHED"}],
        )  # fmt: skip

    with FakeDaemon(socket_path, script):
        ended = run(client, f"--socket={socket_path}", "--on-missing=fail")
    assert ended.status == 1
    rolling, stuck, left = ended.lines
    assert rolling.startswith(
        "rolling, 1 in flight (ESTABLISHED 1), 1 unused, 2 UDP workers, roll: quit, 0."
    )
    assert stuck.startswith("stuck, 1 in flight, roll: failed (x), 0.")
    assert stuck.endswith(" s: nginx's workers do not react")
    assert left == "left: 10.0.0.9:1 ESTABLISHED"
