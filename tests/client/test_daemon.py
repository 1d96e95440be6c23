"""Conversations with a well-behaved daemon, and the resulting log lines."""

import signal
import threading
import time
from pathlib import Path

import pytest

from tests.client.fake_daemon import Conversation, FakeDaemon
from tests.client.run import SLACK, Client, Run, apart, run, wait_until


def ask(client: Path, socket_path: Path, *arguments: str) -> Run:
    """Run a client that must not count alone: exit 3 means that it gave up on the daemon."""
    return run(client, f"--socket={socket_path}", "--on-missing=fail", *arguments)


def test_progress_and_result_are_printed(client: Path, socket_path: Path) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head()
        daemon.line(
            phase="settling",
            in_flight=3,
            by_state={"ESTABLISHED": 2, "FIN_WAIT1": 1, "CLOSING": 0},
            elapsed=0.1,
            reason="min-wait has 3.8 s to go",
        )
        daemon.line(result="drained", in_flight=0, by_state={}, elapsed=0.2)

    with FakeDaemon(socket_path, script):
        ended = ask(client, socket_path)
    assert ended.status == 0
    assert ended.lines[0].startswith("settling, 3 in flight (ESTABLISHED 2, FIN_WAIT1 1), 0.")
    assert ended.lines[0].endswith(" s: min-wait has 3.8 s to go")
    assert ended.last.startswith("drained, 0 in flight, 0.")
    assert ended.seconds < SLACK


def test_a_deadline_names_the_remaining_connections(client: Path, socket_path: Path) -> None:
    left = [
        {
            "remote": f"10.0.0.2:{port}",
            "state": "ESTABLISHED",
            "age": 12.34,
            "idle": 0.1,
            "unsent": 7,
        }
        for port in range(41000, 41025)
    ]

    def script(daemon: Conversation) -> None:
        daemon.head()
        daemon.line(result="deadline", phase="deadline", in_flight=25, remaining=left)

    with FakeDaemon(socket_path, script):
        ended = ask(client, socket_path)
    assert ended.status == 1
    assert ended.lines[0].startswith("deadline, 25 in flight, 0.")
    assert ended.lines[1] == (
        "left: 10.0.0.2:41000 ESTABLISHED, open 12.3 s, idle 0.1 s, 7 B unsent"
    )
    assert len(ended.lines) == 1 + 20 + 1
    assert ended.last == "left: 5 more"


@pytest.mark.parametrize(
    ("age", "said"), [(0.0, "<0.1"), (0.0994, "<0.1"), (0.1, "0.1"), (3, "3.0")]
)
def test_an_age_never_rounds_to_zero(
    client: Path, socket_path: Path, age: float, said: str
) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head()
        left = [{"remote": "10.0.0.2:41000", "state": "ESTABLISHED", "age": age, "unsent": 0}]
        daemon.line(result="deadline", phase="deadline", in_flight=1, remaining=left)

    with FakeDaemon(socket_path, script):
        ended = ask(client, socket_path)
    assert ended.last == f"left: 10.0.0.2:41000 ESTABLISHED, open {said} s, 0 B unsent"


def test_the_daemon_gets_the_whole_timeout_for_its_deadline(
    client: Path, socket_path: Path
) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("waiting")
        time.sleep(daemon.request["timeout"] - daemon.request["elapsed"])
        daemon.line(result="deadline", in_flight=1, reason="the timeout of 2 s is over")

    with FakeDaemon(socket_path, script):
        ended = ask(client, socket_path, "--timeout=2s", "--min-wait=1s")
    assert ended.last == "deadline, 1 in flight, 2.0 s: the timeout of 2 s is over"
    assert ended.seconds < 2


def test_a_pod_that_is_gone_is_a_success(client: Path, socket_path: Path) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head()
        daemon.line(result="gone", in_flight=0, reason="nginx has exited")

    with FakeDaemon(socket_path, script):
        ended = ask(client, socket_path)
    assert ended.status == 0
    assert ended.last.startswith("gone, ")
    assert ended.last.endswith("s: nginx has exited")


def test_an_answer_is_read_byte_by_byte_and_without_a_last_newline(
    client: Path, socket_path: Path
) -> None:
    def script(daemon: Conversation) -> None:
        answer = (
            b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n\r\n"
            b'{ "reason" : "a \\"quoted\\" {brace}\\n", "phase":"waiting","in_flight":1}\n'
            b'{"new":{"result":"gone"},"result":"drained"}'
        )
        for byte in answer:
            daemon.raw(bytes([byte]))

    with FakeDaemon(socket_path, script):
        ended = ask(client, socket_path)
    assert ended.status == 0
    assert ended.lines[0].endswith(': a "quoted" {brace}?')


def test_at_most_one_line_per_second_is_printed_within_a_phase(
    client: Path, socket_path: Path
) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head()
        for left in range(12):  # the countdown alone is no change
            daemon.phase("settling", 5, reason=f"min-wait has {left}.{left} s to go")
        for in_flight in range(50, 0, -1):  # within a second: only the newest is shown
            daemon.phase("waiting", in_flight)
        time.sleep(1.1)
        daemon.line(result="drained", in_flight=0)

    with FakeDaemon(socket_path, script):
        ended = ask(client, socket_path)
    assert [line.split(",")[:2] for line in ended.lines] == [
        ["settling", " 5 in flight (ESTABLISHED 5)"],
        ["waiting", " 1 in flight (ESTABLISHED 1)"],
        ["drained", " 0 in flight"],
    ]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            "404 Not Found",
            '{"error":"cannot drain: no such pod"}',
            "it says: cannot drain: no such",
        ),
        ("503 Busy", '{"error": {"code": 1}}', "it says: status 503"),
        ("500 Oops", "<html>\n<body>sorry", "it says: status 500"),
        ("403 No", '{"error":"a\\u001b[31m\\nb"}', "it says: a?[31m?b"),
    ],
)
def test_an_error_of_the_daemon_is_printed(
    client: Path, socket_path: Path, status: str, body: str, said: str
) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head(status, "application/json")
        daemon.raw(body.encode())

    with FakeDaemon(socket_path, script):
        ended = ask(client, socket_path)
    assert ended.status == 3
    assert ended.last.startswith(f"cannot use the daemon: {said}")


def test_client_does_not_wait_for_the_connection_to_close_after_an_error(
    client: Path, socket_path: Path
) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head("409 Conflict")
        daemon.raw(b'{"error":"cannot drain: twice"}')
        daemon.hang()

    with FakeDaemon(socket_path, script):
        ended = ask(client, socket_path)
    assert ended.last.startswith("cannot use the daemon: it says: cannot drain: twice, and ")
    assert ended.seconds < SLACK


@pytest.mark.parametrize(("choice", "status"), [("pass", 0), ("fail", 3)])
def test_exit_status_without_a_daemon_follows_on_missing(
    client: Path, socket_path: Path, choice: str, status: int
) -> None:
    ended = run(client, f"--socket={socket_path}", f"--on-missing={choice}")
    assert ended.status == status
    assert ended.seconds < SLACK
    assert f"connect {socket_path}: No such file or directory" in ended.last


def test_a_socket_without_a_listener_is_a_missing_daemon(client: Path, socket_path: Path) -> None:
    with FakeDaemon(socket_path) as daemon:
        daemon.listener.close()
        ended = ask(client, socket_path)
    assert (ended.status, "Connection refused" in ended.last) == (3, True)


def test_client_waits_for_a_daemon_that_is_slow_to_accept(client: Path, socket_path: Path) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head()
        daemon.line(result="drained")

    with FakeDaemon(socket_path, backlog=0) as daemon:
        first = Client([str(client), "--no-pod-log", f"--socket={socket_path}"])
        second = Client([str(client), "--no-pod-log", f"--socket={socket_path}"])
        third = Client([str(client), "--no-pod-log", f"--socket={socket_path}"])
        time.sleep(0.2)  # until the backlog is full there is nothing to see from outside
        served = threading.Thread(target=serve, args=(daemon, script, 3))
        served.start()
        assert [one.end().status for one in (first, second, third)] == [0, 0, 0]
        served.join()


def serve(daemon: FakeDaemon, script: object, count: int) -> None:
    assert callable(script)
    daemon.listener.settimeout(5)
    for _ in range(count):
        connection, _ = daemon.listener.accept()
        with connection:
            conversation = Conversation(connection, threading.Event())
            conversation.read_request()
            script(conversation)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_client_at_once(
    client: Path, socket_path: Path, number: signal.Signals
) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("settling")
        daemon.hang()

    with FakeDaemon(socket_path, script):
        # A runtime that ignores the signal itself must not make the hook ignore it.
        ignoring = ["env", f"--ignore-signal={number.value}", str(client), "--no-pod-log"]
        waiting = Client([*ignoring, f"--socket={socket_path}"])
        waiting.line("settling")
        sent = time.monotonic()
        waiting.process.send_signal(number)
        assert waiting.end().status == -number
        assert time.monotonic() - sent < SLACK


def test_verbose_logs_every_attempt_to_connect(client: Path, socket_path: Path) -> None:
    flags = ["--verbose", "--no-roll", "--timeout=1.6s", "--min-wait=1.4s"]
    waiting = Client(apart([str(client), "--no-pod-log", f"--socket={socket_path}", *flags]))
    wait_until(lambda: waiting.process.poll() is not None, "its end")
    assert "still cannot use the daemon: cannot connect" in waiting.end().output
