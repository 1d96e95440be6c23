"""The commands' output on a terminal, with a real daemon and a real pod."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

from bench.rig.daemon import running_daemon
from bench.rig.pod import FakePod
from drainmon.cli.client import get
from tests.e2e.api import pod_in
from tests.e2e.connections import Connection
from tests.e2e.harness import DAEMON, Daemon, MakePod, daemon_in, wait_argv
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
        """The window's present content."""
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


@pytest.mark.core
def test_top_shows_a_pod_and_restores_the_terminal(
    daemon: Daemon, make_pod: MakePod, window: Window
) -> None:
    pod = make_pod()
    name = f"nginx {pod.master_pid}"
    eventually(lambda: window.shows("source core"))
    window.type(f"/{pod.netns.inode}\r")
    eventually(lambda: window.shows(f"only '{pod.netns.inode}'") and window.shows(name))

    def in_flight() -> list[str]:
        return [line.split()[3] for line in window.lines() if line.startswith(name)]

    with Connection(pod) as connection:
        assert connection.get()
        eventually(lambda: in_flight() == ["1"])
        window.resize(66, 12)
        eventually(lambda: in_flight() == ["1"] and window.lines()[0].startswith("source core"))
        assert sum("IN FLIGHT" in line for line in window.lines()) == 1
        window.type("/x")
        eventually(lambda: window.shows(f"filter: {pod.netns.inode}x_"))
        assert not window.shows(name)
        window.type("\x7f\r")
        eventually(lambda: in_flight() == ["1"])
    eventually(lambda: in_flight() == ["0"])
    window.type("q")
    assert window.process.wait(10) == 0
    window.lines()
    assert window.sent.rstrip().endswith((b"\x1b[?1049l", b"\x1b[?25h"))  # the terminal is restored


@pytest.mark.core
def test_top_continues_when_the_daemon_is_restarted(tmp_path: Path) -> None:
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


def test_top_scrolls(daemon: Daemon, make_pod: MakePod) -> None:
    for pod in [make_pod() for _ in range(3)]:
        wait_seen(daemon, pod)
    window = Window(80, 8, DAEMON, "top", "--socket", daemon.socket)

    def first() -> int:
        found = re.search(r"^(\d+) to \d+ of \d+ pods$", "\n".join(window.lines()), re.MULTILINE)
        return int(found[1]) if found else 0

    try:
        eventually(lambda: first() == 1)
        window.type("j")
        eventually(lambda: first() == 2)
        window.type("\x1b[A")
        eventually(lambda: first() == 1)
        window.type("\x1b[6~")
        eventually(lambda: first() > 1)
        window.type("g")
        eventually(lambda: first() == 1)
    finally:
        window.close()


def wait_seen(daemon: Daemon, pod: FakePod) -> None:
    eventually(lambda: pod_in(daemon.socket, pod.netns.inode))


def test_commands_explain_an_empty_node(tmp_path: Path) -> None:
    with daemon_in(tmp_path, "--process", "no-such-nginx") as own:
        done = show(own, "status")
        assert (done.returncode, "no pods: " in done.stdout) == (0, True)
        assert "no pods: " in show(own, "connections").stdout
        assert show(own, "drains").stdout.startswith("no drains: ")


def test_top_without_a_terminal_fails(daemon: Daemon) -> None:
    done = show(daemon, "top")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("drainmon: cannot show top: not a terminal")


def test_connections_shows_a_pods_connections(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    label = f"netns-{pod.netns.inode}"
    with Connection(pod) as connection:
        assert connection.get()
        eventually(lambda: pod_in(daemon.socket, pod.netns.inode).get("in_flight") == 1)
        name = f"nginx {pod.master_pid}"
        answer = json.loads(show(daemon, "connections", name, "--json").stdout)[label]
        assert (answer["total"], answer["by_state"]) == (1, {"ESTABLISHED": 1})
        shown = show(daemon, "connections", label).stdout.splitlines()
        assert shown[0] == f"{name}: 1 connections"
        assert shown[2].split()[2] == "ESTABLISHED"
        assert name in show(daemon, "connections").stdout
    missing = show(daemon, "connections", "nowhere")
    assert missing.returncode == 1
    assert "cannot show connections: no pod is called 'nowhere'" in missing.stderr


@pytest.mark.core
def test_status_and_drains_print_json(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    eventually(lambda: pod_in(daemon.socket, pod.netns.inode))
    assert f"nginx {pod.master_pid} " in show(daemon, "status").stdout
    done = show(daemon, "status", "--json")
    node = json.loads(done.stdout)
    assert (done.returncode, node["health"]["source"]) == (0, "core")
    assert pod.netns.inode in {one["netns"] for one in node["pods"]}
    records = json.loads(show(daemon, "drains", "--json").stdout)
    assert records == get(daemon.socket, "/v1/drains")["drains"]


def test_status_watches_until_interrupted(daemon: Daemon) -> None:
    argv = [str(DAEMON), "status", "--watch", "--json", "--socket", str(daemon.socket)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as watching:
        assert watching.stdout
        for _ in range(2):
            assert json.loads(watching.stdout.readline())["health"]["status"] == "ok"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 130


def test_status_fits_80_columns(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    eventually(lambda: pod_in(daemon.socket, pod.netns.inode))
    waiting = pod.netns.command(wait_argv(daemon.socket, min_wait=10, timeout=20))
    with subprocess.Popen(waiting, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as hook:
        window = Window(80, 24, DAEMON, "status", "--watch", "--socket", daemon.socket)
        try:
            eventually(lambda: window.shows("settling"))
            lines = window.lines()
        finally:
            window.close()
            hook.terminate()
    (head,) = (line for line in lines if line.startswith("RUNNING DRAIN"))
    assert "PHASE" in head and "ARRIVALS  LAST" in head and "RESULT" not in head
    name = f"nginx {pod.master_pid} "
    assert sum(line.startswith(name) for line in lines) == 2


def test_the_log_has_a_drains_end_and_its_remaining_connections(
    tmp_path: Path, make_pod: MakePod
) -> None:
    pod = make_pod()
    with daemon_in(tmp_path, "--log-format", "text") as own, Connection(pod) as busy:
        assert busy.get()
        policy = {"min_wait": 0, "quiet": 0, "timeout": 1, "no_roll": True}
        waiting = pod.netns.command(wait_argv(own.socket, **policy))
        assert subprocess.run(waiting, capture_output=True, check=False).returncode == 1
        ended = f"drain ended  netns-{pod.netns.inode}: deadline after "
        eventually(lambda: ended in own.log.read_text())
        (line,) = (line for line in own.log.read_text().splitlines() if ended in line)
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} info ", line)
        left = re.compile(r"(\S+ ESTABLISHED, (open \S+ s, )?idle \S+ s, 0 B unsent)$")
        (found,) = left.findall(line)
        assert found[0].split()[0] in show(own, "drains").stdout
        advice = show(own, "advise", "--file", str(own.log))
        assert advice.returncode == 1
        assert "--log-format json" in advice.stderr


def test_a_closed_pipe_ends_status_without_an_error(daemon: Daemon) -> None:
    command = f"{DAEMON} status --watch --socket {daemon.socket}"
    script = f"{command} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_pods_are_completed(daemon: Daemon, make_pod: MakePod) -> None:
    pod = make_pod()
    label = f"netns-{pod.netns.inode}"
    eventually(lambda: pod_in(daemon.socket, pod.netns.inode))
    script = f"""
source <({DAEMON} completion bash)
drainmon() {{ {DAEMON} "$@"; }}
COMP_WORDS=(drainmon connections {label[:-2]}); COMP_CWORD=2
_shtab_drainmon drainmon {label[:-2]} connections
echo "${{COMPREPLY[@]}}"
"""
    for socket, expected in ((daemon.socket, label), (daemon.socket / "none", "")):
        environment = os.environ | {"DRAINMON_SOCKET": str(socket)}
        done = subprocess.run(
            ["bash", "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        assert (done.stdout.strip(), done.stderr) == (expected, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_are_completed(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "completion"
    with script.open("w") as out:
        subprocess.run([DAEMON, "completion", shell], stdout=out, check=True)
    assert "reconcile-interval" in script.read_text()
    assert "drainmon completion pods" in script.read_text()
    if shell == "bash":
        asks = f"source {script}; COMP_WORDS=(drainmon st); COMP_CWORD=1; "
        asks += "$(complete -p drainmon | sed 's/.*-F \\([^ ]*\\).*/\\1/') drainmon st drainmon; "
        asks += 'echo "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", asks], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["status"]
