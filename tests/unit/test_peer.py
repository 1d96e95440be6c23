"""The caller's identity: an ended process has none; a temporary error is repeated later."""

import asyncio
import contextlib
import dataclasses
import errno
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from drainmon.server import peer
from tests.unit.test_server import Daemon, serving

GET_SELF = b"GET /v1/self HTTP/1.1\r\nHost: d\r\n\r\n"

SHORT = "cannot identify the caller: Too many open files"


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with serving(tmp_path) as daemon:
        yield daemon


def test_a_reused_pid_is_not_the_caller() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        caller = peer.identify(here)
        caller.verify()
        stale = dataclasses.replace(caller, started=caller.started - 1)
        with pytest.raises(PermissionError, match="another process now"):
            stale.verify()


def test_a_caller_that_has_ended_is_refused() -> None:
    # The next process with this pid must not be taken for the caller.
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/sock"
        code = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({path!r})"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            subprocess.run([sys.executable, "-c", code], check=True)
            connection, _ = listener.accept()
            with connection:
                with pytest.raises(PermissionError, match="cannot identify the caller"):
                    peer.identify(connection)
                with pytest.raises(ProcessLookupError, match="it has ended"):
                    peer._check_alive(connection)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ESRCH])
def test_an_ended_caller_is_noticed_on_older_kernels(number: int) -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        caller = dataclasses.replace(peer.identify(here), connection=Refusing(here, number))
        with pytest.raises(
            PermissionError, match=r"^cannot identify the caller: pid \d+: it has ended"
        ):
            caller.verify()


def test_a_kernel_without_peer_pidfds_is_trusted() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        connection = Refusing(here, errno.ENOPROTOOPT)
        dataclasses.replace(peer.identify(here), connection=connection).verify()


class Refusing:
    """A connection whose kernel refuses to report more than the peer's credentials."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self._connection, self._number = connection, number

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        if option == peer.SO_PEERPIDFD:
            raise OSError(self._number, os.strerror(self._number))
        return self._connection.getsockopt(level, option, size)


@contextlib.contextmanager
def descriptors_left(number: int) -> Iterator[None]:
    """Leave `number` descriptors free during the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    first = os.dup(0)  # lower descriptors are in use
    os.close(first)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first + number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_lack_of_descriptors_is_not_a_wrong_caller() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        caller = peer.identify(here)
        with descriptors_left(0):
            for ask in (caller.verify, lambda: peer.identify(here)):
                with pytest.raises(OSError, match=f"^{SHORT}$") as raised:
                    ask()
                assert not isinstance(raised.value, PermissionError)
            with pytest.raises(OSError, match="Too many open files"):
                peer._check_alive(here)
        caller.verify()


async def test_a_caller_during_a_lack_of_descriptors_may_retry(daemon: Daemon) -> None:
    """The caller is not refused for good, and the daemon continues to accept others."""
    known = await asyncio.open_unix_connection(str(daemon.path))
    await ask_on(*known, 200)
    with socket.socket(socket.AF_UNIX) as early:
        early.setblocking(False)
        with descriptors_left(0):
            assert SHORT in await ask_on(*known, 503)
        with descriptors_left(1):
            early.connect(str(daemon.path))
            early.send(GET_SELF)
            loop = asyncio.get_running_loop()
            answer = await asyncio.wait_for(loop.sock_recv(early, 65536), 10)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert SHORT.encode() in answer
    await ask_on(*known, 200)
    known[1].close()
    assert (await daemon.get("/v1/self"))[0] == 200


async def ask_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int) -> str:
    """The body of the response, on a connection that stays open."""
    writer.write(GET_SELF)
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith(f"HTTP/1.1 {status} ")
        (size,) = [
            line.split()[1] for line in head.splitlines() if "content-length" in line.lower()
        ]
        return (await reader.readexactly(int(size))).decode()


async def test_a_drain_is_disconnected_if_its_caller_cannot_be_verified(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client takes that for a lost daemon, and comes back."""
    reader, writer = await asyncio.open_unix_connection(str(daemon.path))
    verify, asked = peer.Caller.verify, 0

    def verify_twice(caller: peer.Caller) -> None:
        nonlocal asked
        asked += 1
        if asked > 3:
            with descriptors_left(0):
                verify(caller)
        verify(caller)

    monkeypatch.setattr(peer.Caller, "verify", verify_twice)
    writer.write(b"POST /v1/self/drain HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
    answer = await reader.read()
    writer.close()
    lines = answer.partition(b"\r\n\r\n")[2].splitlines()
    assert [json.loads(line)["phase"] for line in lines] == ["settling"]
    assert daemon.drains.closed == 1
