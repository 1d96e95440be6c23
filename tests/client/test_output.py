"""The client's output when it is not read: the client never waits for a reader."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.client.fake_daemon import Conversation, FakeDaemon, Script
from tests.client.run import SLACK, Client


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The write end of a pipe that is full; a blocking write waits."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writing, b"x" * 65536)
    os.set_blocking(writing, True)
    yield writing
    os.close(reading)
    os.close(writing)


def leaves_many(daemon: Conversation) -> None:
    daemon.head()
    daemon.phase("settling")
    daemon.line(result="deadline", remaining=[{"remote": "x" * 300}] * 20, in_flight=20)


def drained(daemon: Conversation) -> None:
    daemon.head()
    daemon.phase("settling")
    daemon.line(result="drained", in_flight=0)


def spawned(argv: list[str], file_actions: Sequence[tuple[int, ...]]) -> int:
    """The exit status of a client with these descriptors."""
    pid = os.posix_spawn(argv[0], argv, {}, file_actions=file_actions)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_output_without_a_reader_does_not_delay_the_end(
    client: Path, socket_path: Path, full_pipe: int
) -> None:
    with FakeDaemon(socket_path, leaves_many):
        started = time.monotonic()
        argv = [str(client), "--no-pod-log", f"--socket={socket_path}"]
        assert spawned(argv, [(os.POSIX_SPAWN_DUP2, full_pipe, 1)]) == 1
        assert time.monotonic() - started < SLACK


@pytest.mark.root
@pytest.mark.parametrize(
    ("script", "status", "last"), [(drained, 0, "drained, "), (leaves_many, 1, "left: xxx")]
)
def test_a_container_log_without_a_reader_does_not_delay_the_end(
    client: Path, socket_path: Path, full_pipe: int, script: Script, status: int, last: str
) -> None:
    """Pid 1's stdout is full: the container runtime has stopped reading."""
    # The shell is pid 1; the client runs in the background, as otherwise the shell lends the client
    # its own stdout.
    first = 'exec 3>&1 >/proc/self/fd/$1; shift; "$@" >&3 & wait $!'
    own_pids = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    shell = ["sh", "-c", first, "sh", str(full_pipe)]
    argv = [*own_pids, *shell, str(client), f"--socket={socket_path}", "--timeout=3s"]
    with FakeDaemon(socket_path, script):
        ended = Client(argv, pass_fds=[full_pipe]).end()
    assert ended.status == status
    assert ended.last.startswith(last)
    assert ended.seconds < 3


def test_closed_standard_descriptors_do_not_redirect_output_to_the_daemon(
    client: Path, socket_path: Path
) -> None:
    """The socket must not get the descriptor number of stdout."""

    def script(daemon: Conversation) -> None:
        daemon.head()
        daemon.phase("settling")
        daemon.connection.settimeout(0.3)
        try:
            said.append(daemon.connection.recv(4096))
        except TimeoutError:
            said.append(b"")
        daemon.line(result="drained")

    said: list[bytes] = []
    with FakeDaemon(socket_path, script):
        argv = [str(client), "--no-pod-log", f"--socket={socket_path}"]
        closed = [(os.POSIX_SPAWN_CLOSE, number) for number in range(3)]
        assert spawned(argv, closed) == 0
    assert said == [b""]
