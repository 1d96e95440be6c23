"""The rig's daemon is healthy when its block begins; a failing start gives its reason."""

import stat
import sys
from pathlib import Path

import pytest

from bench.rig.daemon import healthy, running_daemon
from bench.rig.errors import RigError

HEALTHY = """\
import http.server, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self):
        return "unix"
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()
socketserver.UnixStreamServer(sys.argv[sys.argv.index("--socket") + 1], Handler).serve_forever()
"""
BROKEN = "raise SystemExit('cannot attach: no BTF')"


def program(folder: Path, source: str) -> Path:
    path = folder / "drainmon"
    path.write_text(f"#!{sys.executable}\n{source}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_daemon_runs_until_the_block_ends(tmp_path: Path) -> None:
    socket = tmp_path / "drainmon.sock"
    assert not healthy(socket)
    with running_daemon(program(tmp_path, HEALTHY), socket, tmp_path / "log"):
        assert healthy(socket)
    assert not healthy(socket)


def test_a_failing_start_is_reported_with_the_daemons_error(tmp_path: Path) -> None:
    broken = program(tmp_path, BROKEN)
    with (
        pytest.raises(RigError, match=r"cannot start the daemon: .*1\n  cannot attach: no BTF"),
        running_daemon(broken, tmp_path / "drainmon.sock", tmp_path / "log"),
    ):
        pass


def test_a_missing_daemon_is_reported(tmp_path: Path) -> None:
    with (
        pytest.raises(RigError, match=r"cannot start the daemon: .*No such file"),
        running_daemon(tmp_path / "none", tmp_path / "drainmon.sock", tmp_path / "log"),
    ):
        pass
