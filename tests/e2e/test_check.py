"""`drainmon check` on this host, and on what is left of it when things are taken away."""

import contextlib
import json
import os
import pty
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import DAEMON, Daemon

pytestmark = pytest.mark.root

LONGEST = 5.0  # a second or two, on a machine that has other things to do


def check(*flags: str, before: Sequence[str] = ()) -> tuple[int, str]:
    """Exit code and output; nothing may be said but the facts."""
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


def test_this_host(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    code, text = check("--socket", str(folder / "drainmon.sock"))
    assert text.splitlines()[-1] == "would use: core"
    assert "\033" not in text
    assert code == 0
    assert not folder.exists()


def test_as_json(tmp_path: Path) -> None:
    code, text = check("--json", "--socket", str(tmp_path / "s"), "--pod-logs", str(tmp_path))
    document = json.loads(text)
    assert (code, document["usable"], document["source"]) == (0, True, "core")
    said = statuses(document)
    assert {
        key: status for key, status in said.items() if key.startswith("core ")
    } == dict.fromkeys((key for key in said if key.startswith("core ")), "ok")
    assert said["serving pod logs"] == "ok"
    assert said["serving daemon"] == "degraded"


def test_a_daemon_answers(daemon: Daemon) -> None:
    _, text = check("--json", "--socket", str(daemon.socket))
    (answer,) = (fact for fact in json.loads(text)["facts"] if fact["name"] == "daemon")
    assert answer["status"] == "ok"
    assert answer["found"].endswith("source core")


def test_a_daemon_that_hangs(tmp_path: Path) -> None:
    path = tmp_path / "drainmon.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        code, text = check("--json", "--socket", str(path))
    (answer,) = (fact for fact in json.loads(text)["facts"] if fact["name"] == "daemon")
    assert (code, answer["status"]) == (0, "degraded")
    assert answer["found"] == f"cannot ask the daemon at {path}: timed out"


def test_no_btf(tmp_path: Path) -> None:
    code, text = check("--json", "--socket", str(tmp_path / "s"), before=without_btf())
    document = json.loads(text)
    said = statuses(document)
    assert code == 1
    assert document["source"] in {"bcc", "procfs"}
    assert (said["core BTF"], said["core trial load"]) == ("missing", "missing")
    assert said["core ring buffer"] == "ok"  # tried, as the programs did not load
    assert "core iter program" not in said  # nobody can know


def test_nothing_but_procfs(tmp_path: Path) -> None:
    before = without_btf(also="mount -t tmpfs none /usr/src && mount -t tmpfs none /lib/modules")
    if not Path("/lib/modules").exists():
        before = without_btf(also="mount -t tmpfs none /usr/src")
    code, text = check("--socket", str(tmp_path / "s"), before=before)
    assert (code, text.splitlines()[-1]) == (1, "would use: procfs")


def test_no_privileges(tmp_path: Path) -> None:
    code, text = check("--json", "--socket", str(tmp_path / "s"), before=NO_CAPABILITIES)
    said = statuses(json.loads(text))
    assert code == 2
    for name in ("core may trace", "core may enter pods", "core bpf(2)", "core trial load"):
        assert said[name] == "missing"
    assert said["host processes"] == "missing"
    assert "core ring buffer" not in said


def test_another_user() -> None:
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run(
        [*user, str(DAEMON), "--version"], capture_output=True, check=False
    ).returncode:
        pytest.skip("needs a checkout that others may read")
    code, text = check("--json", "--socket", "/run/drainmon-none/s", before=user)
    assert code == 2
    assert statuses(json.loads(text))["serving socket folder"] == "missing"


def test_a_container_without_host_pid(tmp_path: Path) -> None:
    before = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    code, text = check("--json", "--socket", str(tmp_path / "s"), before=before)
    document = json.loads(text)
    assert code == 1
    assert statuses(document)["host pid namespace"] == "degraded"
    assert document["source"] == "core"


@pytest.mark.parametrize(("environment", "colour"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_on_a_terminal(tmp_path: Path, environment: dict[str, str], colour: bool) -> None:
    screen, other = pty.openpty()
    argv = [str(DAEMON), "check", "--socket", str(tmp_path / "s")]
    shown = b""
    with subprocess.Popen(argv, stdout=other, env=os.environ | {"TERM": "xterm"} | environment):
        os.close(other)
        with contextlib.suppress(OSError):  # EIO: nobody writes any more
            while chunk := os.read(screen, 4096):
                shown += chunk
    os.close(screen)
    assert shown.endswith(b"would use: core\r\n")
    assert (b"\033[32mok" in shown) == colour
