"""Counting without the daemon, on real sockets of a netns with a plain server."""

import os
import socket
import threading
import time

import pytest

from tests.client.pod import PORT, QUICK, Pod
from tests.client.run import SLACK, Client, in_time

pytestmark = pytest.mark.root


def test_drain_with_nothing_in_flight_settles_and_ends(pod: Pod) -> None:
    ended = pod.start().end()
    assert ended.status == 0
    assert ended.lines[0].endswith("; counting without it")
    assert ended.last.startswith("drained, 0 in flight, 0.")
    assert 0.3 <= ended.seconds < 0.4 + SLACK


def test_drain_waits_for_the_last_connection(pod: Pod) -> None:
    theirs, ours = pod.connect()
    waiting = pod.start("--timeout=20s")
    waiting.counts("1 in flight (ESTABLISHED 1)")
    waiting.line("cannot roll nginx: no nginx master of this pod is named by")
    waiting.line("waiting, 1 in flight")
    theirs.close()
    ours.close()
    closed = time.monotonic()
    assert waiting.end().status == 0
    # On a busy machine a look may seem expensive, and the next one is 2 s later.
    assert time.monotonic() - closed < 2 + SLACK


def test_drain_does_not_wait_for_a_connection_that_never_sent(pod: Pod) -> None:
    pod.connect()
    theirs, ours = pod.connect()
    theirs.sendall(b"G")
    waiting = pod.start("--timeout=20s", "--no-roll")
    waiting.counts("2 in flight")
    assert "1 in flight (ESTABLISHED 1)" in waiting.line("waiting, 1")
    theirs.close()
    ours.close()
    assert waiting.end().status == 0


def test_a_deadline_names_the_remaining_connections(pod: Pod) -> None:
    ends = [pod.connect(address)[0] for address in ("10.77.0.1", "fd77::1", "10.77.0.1")]
    half_closed, _ = pod.connect()
    half_closed.shutdown(socket.SHUT_WR)
    names = [f"[{e.getsockname()[0]}]" if ":" in e.getsockname()[0] else e.getsockname()[0]
             for e in ends]  # fmt: skip
    ended = in_time(0.8, lambda: pod.start("--timeout=0.8s", "--no-roll").end())
    assert ended.status == 1
    assert ended.seconds >= 0.8
    assert any(
        line.startswith("deadline, 4 in flight (ESTABLISHED 3, CLOSE_WAIT 1), 0.8 s")
        for line in ended.lines
    )
    expected = {
        f"left: {name}:{end.getsockname()[1]} ESTABLISHED, 0 B unsent"
        for name, end in zip(names, ends, strict=True)
    } | {f"left: 10.77.0.2:{half_closed.getsockname()[1]} CLOSE_WAIT, 0 B unsent"}
    assert {line for line in ended.lines if line.startswith("left: ")} == expected


def test_a_deadline_names_at_most_twenty_connections(pod: Pod) -> None:
    for _ in range(70):
        theirs, _ = pod.connect()
        theirs.send(b"GET")  # else the first is unused by the time that a slow machine has made 70
    ended = pod.start("--timeout=0.6s", "--no-roll").end()
    assert sum(line.startswith("left: 10.77.0.2:") for line in ended.lines) == 20
    assert ended.last == "left: 50 more"


def test_drain_ends_with_exit_at_connections_in_flight(pod: Pod) -> None:
    pod.connect()
    ended = pod.start("--exit-at=1").end()
    assert ended.status == 0
    assert " s: at most exit-at connections are in flight; no nginx seen here" in ended.last


def test_drain_does_not_wait_for_data_that_the_peer_has_acknowledged(pod: Pod) -> None:
    _, ours = pod.connect()
    ours.close()  # FIN_WAIT2 here and CLOSE_WAIT at the peer
    assert pod.start().end().status == 0


def test_drain_waits_for_a_tail_that_the_reader_has_not_taken(pod: Pod) -> None:
    theirs, ours = pod.connect()
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            ours.send(b"x" * 65536)
    ours.close()
    waiting = pod.start("--timeout=20s")
    waiting.counts("1 in flight (FIN_WAIT1 1)")
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


def test_a_port_stays_counted_after_its_listener_closes(pod: Pod) -> None:
    pod.connect()
    waiting = pod.start("--timeout=0.8s", "--no-roll")
    waiting.counts("1 in flight")
    pod.listener.close()
    assert waiting.end().status == 1


def test_an_arrival_restarts_the_quiet_period(pod: Pod) -> None:
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


def test_arrivals_that_never_stop_do_not_cause_a_deadline(pod: Pod) -> None:
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


def test_drain_does_not_wait_for_ignored_peers(pod: Pod) -> None:
    pod.connect()
    theirs, _ = pod.connect("fd77::1")
    waiting = pod.start("--ignore-peer=10.77.0.0/24", "--timeout=0.8s", "--no-roll")
    ended = waiting.end()
    assert ended.status == 1
    port = theirs.getsockname()[1]
    left = [line for line in ended.lines if line.startswith("left: ")]
    assert left == [f"left: [fd77::2]:{port} ESTABLISHED, 0 B unsent"]
    assert pod.start("--ignore-peer=10.77.0.2,fd77::/64", "--no-roll").end().status == 0


def test_drain_does_not_wait_for_an_ignored_port(pod: Pod) -> None:
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
def test_ignored_checks_do_not_restart_the_quiet_period(pod: Pod, flag: str, address: str) -> None:
    """The pod closes each check, so its remains show at the next look."""
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


def test_the_client_uses_little_cpu_time(pod: Pod) -> None:
    pod.connect()
    before = os.times()
    assert pod.start("--timeout=1s", "--no-roll").end().status == 1
    after = os.times()
    used = after.children_user + after.children_system
    assert used - before.children_user - before.children_system < 0.05 * 1 + 0.1


def test_client_that_cannot_count_waits_for_the_timeout(pod: Pod) -> None:
    """Ending at once could lose connections that the client cannot see."""
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
    argv = [*hidden, str(pod.client), f"--socket={pod.socket_path}", *QUICK, "--timeout=0.6s"]
    ended = in_time(0.6, lambda: Client(pod.netns.command(argv)).end())
    assert ended.status == 1
    assert ended.lines[1:] == [
        "cannot count: read /proc/self/net/snmp: No such file or directory; "
        "waiting for the timeout",
        "deadline, 0.6 s: nothing was counted",
    ]
