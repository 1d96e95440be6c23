"""`drainmon check` on this host, and on the same host with parts removed."""

import contextlib
import json
import os
import pty
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.rig import nginx as nginx_binaries
from bench.rig.daemon import healthy
from tests.e2e.harness import DAEMON, SERVE, Daemon, public_folder, wait_argv
from tests.waiting import eventually

pytestmark = pytest.mark.root

LONGEST = 5.0  # a second or two, on a busy machine


def check(*flags: str, before: Sequence[str] = ()) -> tuple[int, str]:
    """Exit code and output; asserts that nothing but facts is printed."""
    began = time.monotonic()
    done = subprocess.run(
        [*before, str(DAEMON), "check", *flags], capture_output=True, text=True, check=False
    )
    assert time.monotonic() - began < LONGEST
    assert done.stderr == ""
    return done.returncode, done.stdout


def statuses(document: dict[str, Any]) -> dict[str, str]:
    return {f"{fact['group']} {fact['name']}": fact["status"] for fact in document["facts"]}


def without_btf(*, also: str = "true") -> list[str]:
    hide = f'mount -t tmpfs none /sys/kernel/btf && {also} && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", hide, "sh"]


NO_CAPABILITIES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]


@pytest.mark.core
def test_check_passes_on_this_host(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    code, text = check("--socket", str(folder / "drainmon.sock"))
    assert text.splitlines()[-1] == "would use: core"
    assert "\033" not in text
    assert code == 0
    assert not folder.exists()


@pytest.mark.core
def test_check_prints_json(tmp_path: Path) -> None:
    code, text = check("--json", "--socket", str(tmp_path / "s"), "--pod-logs", str(tmp_path))
    document = json.loads(text)
    assert (code, document["usable"], document["source"]) == (0, True, "core")
    said = statuses(document)
    assert {
        key: status for key, status in said.items() if key.startswith("core ")
    } == dict.fromkeys((key for key in said if key.startswith("core ")), "ok")
    assert said["serving pod logs"] == "ok"
    assert said["serving daemon"] == "note"
    assert document["degraded"] is False


def test_check_reports_an_answering_daemon(daemon: Daemon) -> None:
    _, text = check("--json", "--socket", str(daemon.socket))
    (answer,) = (fact for fact in json.loads(text)["facts"] if fact["name"] == "daemon")
    assert answer["status"] == "ok"
    assert answer["found"].endswith("source core")


def test_check_reports_a_hanging_daemon(tmp_path: Path) -> None:
    path = tmp_path / "drainmon.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        code, text = check("--json", "--socket", str(path))
    (answer,) = (fact for fact in json.loads(text)["facts"] if fact["name"] == "daemon")
    assert (code, answer["status"]) == (1, "degraded")
    assert answer["found"] == f"cannot ask the daemon at {path}: timed out"


def test_check_without_btf_chooses_another_source(tmp_path: Path) -> None:
    code, text = check("--json", "--socket", str(tmp_path / "s"), before=without_btf())
    document = json.loads(text)
    said = statuses(document)
    assert code == 1
    assert document["source"] in {"bcc", "procfs"}
    assert (said["core BTF"], said["core trial load"]) == ("missing", "missing")
    assert said["core ring buffer"] == "ok"  # tried, as the programs did not load
    assert "core iter program" not in said  # cannot be known without BTF


def test_check_without_btf_and_headers_chooses_procfs(tmp_path: Path) -> None:
    before = without_btf(also="mount -t tmpfs none /usr/src && mount -t tmpfs none /lib/modules")
    if not Path("/lib/modules").exists():
        before = without_btf(also="mount -t tmpfs none /usr/src")
    code, text = check("--socket", str(tmp_path / "s"), before=before)
    assert code == 1
    assert text.splitlines()[-1].startswith("would use: procfs (degraded: BTF, ")


def test_check_without_privileges_is_unusable(tmp_path: Path) -> None:
    code, text = check("--json", "--socket", str(tmp_path / "s"), before=NO_CAPABILITIES)
    said = statuses(json.loads(text))
    assert code == 2
    for name in ("core may trace", "core may enter pods", "core bpf(2)", "core trial load"):
        assert said[name] == "missing"
    assert "core ring buffer" not in said


@pytest.mark.parametrize("lacking", ["SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "KILL"])
def test_a_missing_capability_is_named(lacking: str, tmp_path: Path) -> None:
    before = ["setpriv", f"--bounding-set=-{lacking.lower()}"]
    code, text = check("--socket", str(tmp_path / "s"), before=before)
    (row,) = (line for line in text.splitlines() if "  capabilities  " in line)
    assert f"missing: {lacking}; without {lacking} it cannot " in row
    assert code
    assert "privileged" not in text


ANOTHER = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"]


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that another user may write to; skips where that user cannot run drainmon."""
    argv = [*ANOTHER, str(DAEMON), "--version"]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("needs a checkout that others may read")
    with public_folder() as folder:
        os.chown(folder, 65533, 65533)
        yield folder


def test_check_as_another_user_is_unusable(open_to_all: Path) -> None:
    code, text = check("--socket", "/run/drainmon-none/s", before=ANOTHER)
    assert code == 2
    assert "missing   socket folder" in text
    code, text = check("--json", "--socket", str(open_to_all / "s"), before=ANOTHER)
    document = json.loads(text)
    assert (code, document["usable"], document["degraded"]) == (2, False, True)
    assert statuses(document)["host processes"] == "missing"


def test_a_daemon_that_could_serve_nothing_does_not_start(open_to_all: Path) -> None:
    argv = [*ANOTHER, *SERVE, "--socket", str(open_to_all / "s")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert done.stderr.startswith("drainmon: cannot watch nginx: ")
    assert "missing SYS_PTRACE, DAC_READ_SEARCH: run as root" in done.stderr


def test_a_source_that_lacks_a_capability_names_it(tmp_path: Path) -> None:
    before = ["setpriv", "--bounding-set=-sys_admin,-bpf"]
    argv = [*before, *SERVE, "--source", "core", "--socket", str(tmp_path / "s")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("; missing SYS_ADMIN")


ROOTLESS = """\
ip link set lo up
exec "$1" -p "$2" -e "$2/error" -g "daemon off; user root; pid $2/pid;" -c "$2/c"
"""


def test_a_users_own_nginx_is_drained_by_the_users_own_daemon(open_to_all: Path) -> None:
    temporary = "".join(
        f"{name}_temp_path {open_to_all}/{name}; "
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    http = f"access_log off; {temporary} server {{ listen 127.0.0.1:8080; return 200 ok; }}"
    (open_to_all / "c").write_text(f"error_log {open_to_all}/error; events {{}} http {{ {http} }}")
    rootless = ["unshare", "--user", "--map-root-user", "--net", "sh", "-ec", ROOTLESS, "sh"]
    argv = [*ANOTHER, *rootless, str(nginx_binaries.choose()), str(open_to_all)]
    socket = open_to_all / "s"
    with contextlib.ExitStack() as stack:
        nginx = stack.enter_context(subprocess.Popen(argv))
        stack.callback(nginx.terminate)
        eventually((open_to_all / "pid").exists)
        log = stack.enter_context((open_to_all / "log").open("w"))
        daemon = stack.enter_context(
            subprocess.Popen([*ANOTHER, *SERVE, "--socket", str(socket)], stderr=log)
        )
        stack.callback(daemon.terminate)
        eventually(lambda: healthy(socket), within=20)
        enter = ["nsenter", f"--target={nginx.pid}", "--user", "--net", "--preserve-credentials"]
        client = wait_argv(socket, min_wait=0, quiet="0.1", timeout=10, verbose=True)
        done = subprocess.run(
            [*ANOTHER, *enter, *client], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "counting without it" not in done.stderr
    assert '"event": "capabilities missing"' in (open_to_all / "log").read_text()


@pytest.mark.core
def test_check_without_host_pid_is_degraded(tmp_path: Path) -> None:
    before = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    code, text = check("--json", "--socket", str(tmp_path / "s"), before=before)
    document = json.loads(text)
    assert code == 1
    assert statuses(document)["host pid namespace"] == "degraded"
    assert document["source"] == "core"


@pytest.mark.core
@pytest.mark.parametrize(("environment", "colour"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_check_is_coloured_on_a_terminal_only(
    tmp_path: Path, environment: dict[str, str], colour: bool
) -> None:
    screen, other = pty.openpty()
    argv = [str(DAEMON), "check", "--socket", str(tmp_path / "s")]
    shown = b""
    with subprocess.Popen(argv, stdout=other, env=os.environ | {"TERM": "xterm"} | environment):
        os.close(other)
        with contextlib.suppress(OSError):  # EIO: no writer is left
            while chunk := os.read(screen, 4096):
                shown += chunk
    os.close(screen)
    assert shown.endswith(b"would use: core\r\n")
    assert (b"\033[32mok" in shown) == colour
