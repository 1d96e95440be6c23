"""Counting without the daemon, on real sockets of a netns where a plain server listens."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig.netns import Netns, add_address, link
from tests.client.fake_daemon import Conversation, FakeDaemon
from tests.client.run import SLACK, Client, wait_until

pytestmark = pytest.mark.root

PORT = 8080
CLOCK_MONOTONIC_COARSE = 6  # linux/time.h; ticks once a jiffy
QUICK = ["--no-pod-log", "--min-wait=0.3s", "--quiet=0.2s"]


class Pod:
    """A netns with a listener on [::]:PORT, IPv4 included, and who connects to it from outside."""

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

    def start(self, *arguments: str) -> Client:
        argv = [str(self.client), f"--socket={self.socket_path}", *QUICK, *arguments]
        return Client(self.netns.command(argv))


@pytest.fixture
def pod(pod_netns: Netns, outside: Netns, client: Path, socket_path: Path) -> Iterator[Pod]:
    made = Pod(pod_netns, outside, client, socket_path)
    yield made
    made.close()


def test_with_nothing_in_flight_it_settles_and_ends(pod: Pod) -> None:
    ended = pod.start().end()
    assert ended.status == 0
    assert "No such file or directory; counting without it" in ended.lines[0]
    assert ended.last.startswith("drained, 0 in flight, 0.")
    assert 0.3 <= ended.seconds < 0.4 + SLACK


def test_it_waits_for_the_last_connection(pod: Pod) -> None:
    theirs, ours = pod.connect()
    waiting = pod.start("--timeout=20s")
    assert "1 in flight (ESTABLISHED 1)" in waiting.line("settling")
    waiting.line("cannot roll nginx: no nginx master of this pod is named by")
    waiting.line("waiting, 1 in flight")
    theirs.close()
    ours.close()
    closed = time.monotonic()
    assert waiting.end().status == 0
    assert time.monotonic() - closed < 0.3 + SLACK


def test_a_connection_that_never_sent_is_not_waited_for(pod: Pod) -> None:
    if time.clock_getres(CLOCK_MONOTONIC_COARSE) < 0.002:
        pytest.skip("at 1,000 ticks a second the kernel does not tell")
    pod.connect()
    theirs, ours = pod.connect()
    theirs.sendall(b"G")
    waiting = pod.start("--timeout=20s", "--no-roll")
    assert "2 in flight" in waiting.line("settling")
    assert "1 in flight (ESTABLISHED 1)" in waiting.line("waiting, 1")
    theirs.close()
    ours.close()
    assert waiting.end().status == 0


def test_a_deadline_says_who_is_left(pod: Pod) -> None:
    ends = [pod.connect(address)[0] for address in ("10.77.0.1", "fd77::1", "10.77.0.1")]
    half_closed, _ = pod.connect()
    half_closed.shutdown(socket.SHUT_WR)
    names = [f"[{e.getsockname()[0]}]" if ":" in e.getsockname()[0] else e.getsockname()[0]
             for e in ends]  # fmt: skip
    ended = pod.start("--timeout=0.8s", "--no-roll").end()
    assert ended.status == 1
    assert 0.75 < ended.seconds < 0.8 + SLACK
    assert any(
        line.startswith("deadline, 4 in flight (ESTABLISHED 3, CLOSE_WAIT 1), 0.8 s")
        for line in ended.lines
    )
    expected = {
        f"left: {name}:{end.getsockname()[1]} ESTABLISHED, 0 B unsent"
        for name, end in zip(names, ends, strict=True)
    } | {f"left: 10.77.0.2:{half_closed.getsockname()[1]} CLOSE_WAIT, 0 B unsent"}
    assert {line for line in ended.lines if line.startswith("left: ")} == expected


def test_of_many_twenty_are_named(pod: Pod) -> None:
    for _ in range(70):
        pod.connect()
    ended = pod.start("--timeout=0.6s", "--no-roll").end()
    assert sum(line.startswith("left: 10.77.0.2:") for line in ended.lines) == 20
    assert ended.last == "left: 50 more"


def test_exit_at_leaves_some(pod: Pod) -> None:
    pod.connect()
    ended = pod.start("--exit-at=1").end()
    assert ended.status == 0
    assert ended.last.endswith("s: no more than exit-at are left")


def test_what_the_peer_has_acknowledged_is_not_waited_for(pod: Pod) -> None:
    _, ours = pod.connect()
    ours.close()  # FIN_WAIT2 and, on the other side, CLOSE_WAIT
    assert pod.start().end().status == 0


def test_a_tail_that_the_reader_has_not_taken_is_waited_for(pod: Pod) -> None:
    theirs, ours = pod.connect()
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            ours.send(b"x" * 65536)
    ours.close()
    waiting = pod.start("--timeout=20s")
    assert "1 in flight (FIN_WAIT1 1)" in waiting.line("settling")
    waiting.line("waiting, 1 in flight (FIN_WAIT1 1)")
    while theirs.recv(1 << 20):
        pass
    assert waiting.end().status == 0


def test_outbound_connections_and_other_ports_are_not_counted(pod: Pod) -> None:
    server = pod.keep(pod.outside.socket())
    server.bind(("10.77.0.2", 9000))
    server.listen()
    upstream = pod.keep(pod.netns.socket())
    upstream.connect(("10.77.0.2", 9000))
    assert pod.start().end().status == 0


def test_a_port_is_remembered_when_its_listener_closes(pod: Pod) -> None:
    pod.connect()
    waiting = pod.start("--timeout=0.8s", "--no-roll")
    waiting.line("settling, 1 in flight")
    pod.listener.close()
    assert waiting.end().status == 1


def test_late_arrivals_reset_quiet(pod: Pod) -> None:
    waiting = pod.start("--quiet=0.5s", "--timeout=20s")
    waiting.line("settling")
    for _ in range(5):
        theirs, ours = pod.connect()
        theirs.close()
        ours.close()
        last = time.monotonic()
        time.sleep(0.2)  # the traffic itself: slower than a look, faster than quiet
    ended = waiting.end()
    assert ended.status == 0
    assert 0.5 <= time.monotonic() - last < 0.7 + SLACK


def test_no_arrival_pattern_turns_a_drain_into_a_deadline(pod: Pod) -> None:
    over = threading.Event()

    def probe() -> None:
        while not over.wait(0.1):
            for end in pod.connect():
                end.close()

    probing = threading.Thread(target=probe)
    probing.start()
    try:
        ended = pod.start("--quiet=1s", "--timeout=2s").end()
    finally:
        over.set()
        probing.join()
    assert ended.status == 0
    assert 1.0 <= ended.seconds < 2


def test_ignored_peers_are_not_waited_for(pod: Pod) -> None:
    pod.connect()
    theirs, _ = pod.connect("fd77::1")
    waiting = pod.start("--ignore-peer=10.77.0.0/24", "--timeout=0.8s", "--no-roll")
    ended = waiting.end()
    assert ended.status == 1
    port = theirs.getsockname()[1]
    left = [line for line in ended.lines if line.startswith("left: ")]
    assert left == [f"left: [fd77::2]:{port} ESTABLISHED, 0 B unsent"]
    assert pod.start("--ignore-peer=10.77.0.2,fd77::/64", "--no-roll").end().status == 0


def test_an_ignored_port_is_not_waited_for(pod: Pod) -> None:
    pod.connect()
    assert pod.start(f"--ignore-port={PORT}").end().status == 0


@pytest.mark.parametrize(
    ("flag", "address"),
    [
        ("--ignore-peer=10.77.0.2", "10.77.0.1"),
        ("--ignore-peer=::1,fd77::/64", "fd77::1"),
        (f"--ignore-port={PORT}", "10.77.0.1"),
    ],
)
def test_checks_that_never_stop_do_not_disturb_the_quiet(pod: Pod, flag: str, address: str) -> None:
    """The pod closes them: what is left of each is seen at the next look."""
    over = threading.Event()

    def check() -> None:
        while not over.wait(0.2):
            for end in reversed(pod.connect(address)):
                end.close()

    checking = threading.Thread(target=check)
    checking.start()
    try:
        ended = pod.start(flag, "--quiet=1s", "--timeout=20s").end()
    finally:
        over.set()
        checking.join()
    assert ended.status == 0
    assert ended.seconds < 5 + SLACK


def test_a_hang_at_accept_costs_a_quarter_of_the_timeout(pod: Pod) -> None:
    pod.connect()
    with FakeDaemon(pod.socket_path):
        ended = pod.start("--timeout=0.8s", "--no-roll").end()
    assert ended.status == 1
    assert ended.lines[0] == "cannot use the daemon: it does not answer; counting without it"
    assert ended.lines[1].startswith("settling, 1 in flight (ESTABLISHED 1), 0.2 s")
    assert ended.seconds < 0.8 + SLACK


def test_a_full_backlog_does_not_hold_it(pod: Pod) -> None:
    pod.connect()
    with FakeDaemon(pod.socket_path, backlog=0), ExitStack() as waiting_in_line:
        for _ in range(3):
            other = waiting_in_line.enter_context(socket.socket(socket.AF_UNIX))
            other.setblocking(False)
            other.connect_ex(str(pod.socket_path))
        ended = pod.start("--timeout=0.8s", "--no-roll").end()
    assert (ended.status, "it does not answer" in ended.lines[0]) == (1, True)
    assert ended.seconds < 0.8 + SLACK


def test_it_goes_on_alone_when_the_daemon_dies_and_returns_to_it(pod: Pod) -> None:
    def dies(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("settling", 1)

    def drains(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("waiting", 7)
        time.sleep(0.3)
        daemon.line(result="drained", in_flight=0)

    pod.connect()
    with FakeDaemon(pod.socket_path, dies) as first:
        waiting = pod.start("--timeout=20s", "--no-roll")
        lost = waiting.line("cannot use the daemon")
    assert lost == "cannot use the daemon: it closed the connection; counting without it"
    waiting.line("waiting, 1 in flight")
    with FakeDaemon(pod.socket_path, drains) as second:
        waiting.line("the daemon is back, it counts again")
        ended = waiting.end()
    assert ended.status == 0
    assert ended.last.startswith("drained, 0 in flight")
    (asked_first,), (asked_again,) = first.requests, second.requests
    assert asked_first["elapsed"] < 0.4
    assert 0.9 < asked_again["elapsed"] < 5
    assert asked_again["timeout"] == asked_first["timeout"] == 19.75


def test_a_daemon_that_is_back_but_silent_does_not_stop_the_counting(pod: Pod) -> None:
    def dies(daemon: Conversation) -> None:
        daemon.head()

    def hangs(daemon: Conversation) -> None:
        daemon.head()
        daemon.hang()

    theirs, ours = pod.connect()
    with FakeDaemon(pod.socket_path, dies, hangs) as daemon:
        waiting = pod.start("--timeout=20s", "--no-roll")
        waiting.line("waiting, 1 in flight")
        wait_until(lambda: len(daemon.requests) == 2, "the second attempt")
        theirs.close()
        ours.close()
        ended = waiting.end()
    assert ended.status == 0
    assert "is back" not in ended.output


def test_what_the_daemon_has_rolled_is_not_settled_again(pod: Pod) -> None:
    def dies_waiting(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("waiting", 1, rolls=1, rolled=0.0)

    with FakeDaemon(pod.socket_path, dies_waiting):
        ended = pod.start("--min-wait=5s", "--timeout=20s").end()
    assert ended.status == 0
    assert ended.seconds < 1 + SLACK


def test_the_next_daemon_is_told_of_rolls(pod: Pod) -> None:
    def dies_waiting(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("waiting", 1, rolls=3, rolled=0.125)
        daemon.phase("waiting", 1, rolls="4", rolled=1)
        daemon.phase("waiting", 1, rolls=5)

    def drains(daemon: Conversation) -> None:
        daemon.head()
        daemon.line(result="drained", rolls=3, rolled=0.125)

    pod.connect()
    with FakeDaemon(pod.socket_path, dies_waiting, drains) as daemon:
        assert pod.start("--timeout=20s", "--no-roll").end().status == 0
    first, second = daemon.requests
    assert "rolls" not in first
    assert (second["rolls"], second["rolled"]) == (3, 0.125)


def test_a_daemon_that_waits_before_it_rolls_has_not_rolled(pod: Pod) -> None:
    theirs, ours = pod.connect()
    theirs.sendall(b"GET /")
    ours.recv(10)

    def dies_waiting(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("waiting", 1)

    with FakeDaemon(pod.socket_path, dies_waiting):
        waiting = pod.start("--timeout=3s")
        waiting.line("cannot use the daemon: it closed the connection")
    waiting.line("cannot roll nginx: no nginx master of this pod")  # so it wanted to
    assert waiting.end().status == 1


def test_it_uses_little_of_a_core(pod: Pod) -> None:
    pod.connect()
    before = os.times()
    assert pod.start("--timeout=1s", "--no-roll").end().status == 1
    after = os.times()
    used = after.children_user + after.children_system
    assert used - before.children_user - before.children_system < 0.05 * 1 + 0.1


def test_without_any_way_to_count_it_waits_for_the_timeout(pod: Pod) -> None:
    """Ending at once could lose what it cannot see."""
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
    argv = [*hidden, str(pod.client), f"--socket={pod.socket_path}", *QUICK, "--timeout=0.6s"]
    ended = Client(pod.netns.command(argv)).end()
    assert ended.status == 1
    assert ended.lines[1:] == [
        "cannot count: read /proc/net/tcp: No such file or directory; waiting for the timeout",
        "deadline, 0.6 s: nothing was counted",
    ]
