"""What people see on a terminal, of a real daemon with a real pod."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

from bench.rig.daemon import running_daemon
from drainmon.cli.client import get
from tests.e2e.api import pod_in
from tests.e2e.connections import Connection
from tests.e2e.harness import DAEMON, Daemon, MakePod
from tests.waiting import eventually

pytestmark = pytest.mark.root


class Window:
    """A terminal window in which a command runs."""

    def __init__(self, columns: int, lines: int, *argv: object) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.sent = b""
        self._master, slave = pty.openpty()
        self._size(columns, lines)
        os.set_blocking(self._master, False)
        self.process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm-256color"},
        )
        os.close(slave)

    def _size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        self._size(columns, lines)
        self.screen.resize(lines, columns)
        self.process.send_signal(signal.SIGWINCH)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def lines(self) -> list[str]:
        """What the window shows now."""
        try:
            while part := os.read(self._master, 1 << 16):
                self.sent += part
                self._stream.feed(part)
        except OSError:  # nothing more now, or ever
            pass
        return [line.rstrip() for line in self.screen.display]

    def shows(self, text: str) -> bool:
        return any(text in line for line in self.lines())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.fixture
def window(daemon: Daemon) -> Iterator[Window]:
    made = Window(100, 24, DAEMON, "top", "--socket", daemon.socket)
    yield made
    made.close()


def show(daemon: Daemon, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [str(part) for part in (DAEMON, *argv, "--socket", daemon.socket)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_top(daemon: Daemon, make_pod: MakePod, window: Window) -> None:
    pod = make_pod()
    label = f"netns-{pod.netns.inode}"
    eventually(lambda: window.shows("source core"))
    window.type(f"/{pod.netns.inode}\r")
    eventually(lambda: window.shows(f"only '{pod.netns.inode}'") and window.shows(label))

    def in_flight() -> list[str]:
        return [line.split()[2] for line in window.lines() if line.startswith(label)]

    with Connection(pod) as connection:
        assert connection.get()
        eventually(lambda: in_flight() == ["1"])
        window.resize(66, 12)
        eventually(lambda: in_flight() == ["1"] and window.lines()[0].startswith("source core"))
        assert sum("IN FLIGHT" in line for line in window.lines()) == 1
        window.type("/x")
        eventually(lambda: window.shows(f"filter: {pod.netns.inode}x_"))
        assert not window.shows(label)
        window.type("\x7f\r")
        eventually(lambda: in_flight() == ["1"])
    eventually(lambda: in_flight() == ["0"])
    window.type("q")
    assert window.process.wait(10) == 0
    window.lines()
    assert window.sent.rstrip().endswith((b"\x1b[?1049l", b"\x1b[?25h"))  # all as it was


def test_top_lives_on_while_the_daemon_is_restarted(tmp_path: Path) -> None:
    own = Daemon(tmp_path)
    with running_daemon(DAEMON, own.socket, own.log):
        window = Window(120, 20, DAEMON, "top", "--socket", own.socket)
        try:
            eventually(lambda: window.shows("source core"))
        except BaseException:
            window.close()
            raise
    try:
        eventually(lambda: window.shows("cannot ask the daemon"))
        with running_daemon(DAEMON, own.socket, own.log):
            eventually(lambda: window.shows("source core"))
    finally:
        window.close()


def test_top_needs_a_terminal(daemon: Daemon) -> None:
    done = show(daemon, "top")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("drainmon: cannot show top: this is no terminal")


def test_connections_of_a_pod(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    label = f"netns-{pod.netns.inode}"
    with Connection(pod) as connection:
        assert connection.get()
        eventually(lambda: pod_in(daemon.socket, pod.netns.inode).get("in_flight") == 1)
        answer = json.loads(show(daemon, "connections", label, "--json").stdout)[label]
        assert (answer["total"], answer["by_state"]) == (1, {"ESTABLISHED": 1})
        shown = show(daemon, "connections", label).stdout.splitlines()
        assert shown[0] == f"{label}: 1 connections"
        assert shown[2].split()[2] == "ESTABLISHED"
        assert label in show(daemon, "connections").stdout
    missing = show(daemon, "connections", "nowhere")
    assert missing.returncode == 1
    assert "cannot show connections: no pod is called 'nowhere'" in missing.stderr


def test_status_and_drains_as_json(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    eventually(lambda: pod_in(daemon.socket, pod.netns.inode))
    assert str(pod.netns.inode) in show(daemon, "status").stdout
    done = show(daemon, "status", "--json")
    node = json.loads(done.stdout)
    assert (done.returncode, node["health"]["source"]) == (0, "core")
    assert pod.netns.inode in {one["netns"] for one in node["pods"]}
    records = json.loads(show(daemon, "drains", "--json").stdout)
    assert records == get(daemon.socket, "/v1/drains")["drains"]


def test_watching_goes_on_until_interrupted(daemon: Daemon) -> None:
    argv = [str(DAEMON), "status", "--watch", "--json", "--socket", str(daemon.socket)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as watching:
        assert watching.stdout
        for _ in range(2):
            assert json.loads(watching.stdout.readline())["health"]["status"] == "ok"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 130


def test_whoever_reads_may_have_had_enough(daemon: Daemon) -> None:
    command = f"{DAEMON} status --watch --socket {daemon.socket}"
    script = f"{command} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "completion"
    with script.open("w") as out:
        subprocess.run([DAEMON, "completion", shell], stdout=out, check=True)
    assert "--reconcile-interval" in script.read_text()
    if shell == "bash":
        asks = f"source {script}; COMP_WORDS=(drainmon st); COMP_CWORD=1; "
        asks += "$(complete -p drainmon | sed 's/.*-F \\([^ ]*\\).*/\\1/') drainmon st drainmon; "
        asks += 'echo "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", asks], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["status"]
