"""What the client says where nobody listens: it waits for no reader."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.client.fake_daemon import Conversation, FakeDaemon, Script
from tests.client.run import SLACK, Client


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The end to write to of a pipe that takes no more; whoever writes waits."""
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


def test_output_that_nobody_reads_does_not_hold_it(
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
def test_a_container_s_log_that_nobody_reads_does_not_hold_it(
    client: Path, socket_path: Path, full_pipe: int, script: Script, status: int, last: str
) -> None:
    """Pid 1's stdout is full: its container's runtime has stopped reading."""
    # The shell is pid 1; in the background, as else it lends the client its own stdout meanwhile.
    first = 'exec 3>&1 >/proc/self/fd/$1; shift; "$@" >&3 & wait $!'
    own_pids = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    shell = ["sh", "-c", first, "sh", str(full_pipe)]
    argv = [*own_pids, *shell, str(client), f"--socket={socket_path}", "--timeout=3s"]
    with FakeDaemon(socket_path, script):
        ended = Client(argv, pass_fds=[full_pipe]).end()
    assert ended.status == status
    assert ended.last.startswith(last)
    assert ended.seconds < 3


def test_closed_standard_descriptors(client: Path, socket_path: Path) -> None:
    """Its socket must not become what it takes for stdout."""

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
