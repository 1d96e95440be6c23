"""Misbehaving daemons cause no read out of bounds, no wait beyond the timeout, no false drain."""

import time
from pathlib import Path

import pytest

from tests.client.fake_daemon import Conversation, FakeDaemon, Script
from tests.client.run import SLACK, in_time, run

HEAD = b"HTTP/1.0 200 OK\r\n\r\n"
TIMEOUT = 2.4


def hang_at_headers(daemon: Conversation) -> None:
    daemon.raw(b"HTTP/1.0 200 OK\r\nX-Slow: ")
    daemon.hang()


def hang_behind_headers(daemon: Conversation) -> None:
    daemon.head()
    daemon.hang()


def hang_in_a_line(daemon: Conversation) -> None:
    daemon.raw(HEAD + b'{"phase":"settling","in_flight":')
    daemon.hang()


def headers_without_end(daemon: Conversation) -> None:
    daemon.raw(b"HTTP/1.0 200 OK\r\n")
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until and not daemon.over.is_set():
        daemon.raw(b"X-More: and more\r\n" * 64)
        time.sleep(0.005)


def dots_without_end(daemon: Conversation) -> None:
    """Dots on the connection that never become an answer."""
    daemon.head()
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until and not daemon.over.is_set():
        daemon.raw(b"\r\n")
        time.sleep(0.01)


def nothing(daemon: Conversation) -> None:
    daemon.hang()


def raw(data: bytes) -> Script:
    def script(daemon: Conversation) -> None:
        daemon.raw(data)

    return script


def huge_line(daemon: Conversation) -> None:
    daemon.raw(HEAD + b'{"phase":"')
    for _ in range(1024):
        if daemon.over.is_set():
            return
        daemon.raw(b"x" * (1 << 20))  # lost as soon as the client has gone


SILENT = [nothing, hang_at_headers, hang_behind_headers, hang_in_a_line, headers_without_end,
          dots_without_end]  # fmt: skip

GARBAGE = [
    raw(b""),
    raw(b"\0" * 100_000),
    raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    raw(b"HTTP/1.0 2x0 OK\r\n\r\n"),
    raw(b"HTTP/1.0 200OK\r\n\r\n"),
    raw(b"HTTP/1.0 200 OK\r\n"),
    raw(HEAD),
    raw(HEAD + b"\xff\xfe\n"),
    raw(HEAD + b"{}\n"),
    raw(HEAD + b"[]\n"),
    raw(HEAD + b'{"result":"drained"\n'),
    raw(HEAD + b'{"result":"drained"} {"result":"drained"}\n'),
    raw(HEAD + b'{"result":"probably"}\n'),
    raw(HEAD + b'{"result":["drained"]}\n'),
    raw(HEAD + b'{"x":{"result":"drained"}}\n'),
    raw(HEAD + b'{"phase":3}\n'),
    raw(HEAD + b'{"phase":"settling","in_flight":-1}\n'),
    raw(HEAD + b'{"phase":"settling","in_flight":"none"}\n'),
    raw(HEAD + b'{"a":' + b"[" * 50_000 + b"\n"),
    raw(HEAD + b'{"phase":"settling"}\n{"result":"drai'),
    raw(b"HTTP/1.0 500 Oops\r\n\r\n" + b"x" * 200_000),
    huge_line,
]


@pytest.mark.parametrize("script", SILENT, ids=lambda script: script.__name__)
def test_client_waits_a_quarter_of_the_timeout_for_a_silent_daemon(
    checked_client: Path, socket_path: Path, script: Script
) -> None:
    with FakeDaemon(socket_path, script):
        ended = run(checked_client, f"--socket={socket_path}", "--on-missing=fail",
                    f"--timeout={TIMEOUT}")  # fmt: skip
    assert ended.status == 3, ended.output
    assert ended.last.startswith("cannot use the daemon: it does not answer, and cannot connect ")
    assert TIMEOUT / 4 - 0.05 < ended.seconds < TIMEOUT / 4 + SLACK


@pytest.mark.parametrize("script", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_from_the_daemon_is_never_a_drain(
    checked_client: Path, socket_path: Path, script: Script
) -> None:
    with FakeDaemon(socket_path, script):
        ended = run(checked_client, f"--socket={socket_path}", "--on-missing=fail", "--timeout=8s")
    assert ended.status == 3, ended.output
    assert ended.last.startswith("cannot use the daemon: ")
    assert ended.seconds < 1 + SLACK


def test_client_gives_up_a_daemon_that_falls_silent_after_three_seconds(
    client: Path, socket_path: Path
) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("settling")
        daemon.hang()

    with FakeDaemon(socket_path, script):
        ended = run(client, f"--socket={socket_path}", "--on-missing=fail")
    assert ended.status == 3
    assert ended.last.startswith("cannot use the daemon: it fell silent, and cannot connect ")
    assert 2.9 < ended.seconds < 3 + SLACK


@pytest.mark.parametrize("pause", [0.0, 0.01])
def test_a_daemon_that_never_stops_sending_does_not_delay_the_timeout(
    checked_client: Path, socket_path: Path, pause: float
) -> None:
    def script(daemon: Conversation) -> None:
        daemon.head()
        while not daemon.over.is_set():
            daemon.raw(b'{"phase":"waiting","in_flight":2,"by_state":{"ESTABLISHED":2}}\n' * 100)
            time.sleep(pause)

    with FakeDaemon(socket_path, script):
        ended = in_time(
            0.7, lambda: run(checked_client, f"--socket={socket_path}", "--timeout=0.7s")
        )
    assert ended.status == 1, ended.output
    assert ended.last.startswith("deadline, 2 in flight (ESTABLISHED 2), 0.")
    assert ended.seconds >= 0.7


def test_a_timeout_of_zero_is_a_deadline_at_once(client: Path, socket_path: Path) -> None:
    ended = in_time(0, lambda: run(client, f"--socket={socket_path}", "--timeout=0"))
    assert (ended.status, ended.last) == (1, "deadline, 0.0 s: nothing was counted")
