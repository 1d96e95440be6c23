"""Whose log gets the hook's lines where containers share a pid namespace."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from bench.rig import nginx as nginx_binaries
from bench.rig.netns import Netns
from tests.client.run import Client, wait_until

pytestmark = pytest.mark.root

QUICK = ["--socket=/nonexistent", "--min-wait=0.3s", "--quiet=0.2s"]


@contextmanager
def shared_pids(where: Netns, folder: Path, output: Path | str) -> Iterator[int]:
    """The host's pid of a pod's pid 1, pause; nginx beside it writes to `output`."""
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; user root; worker_processes 1; pid {folder}/pid; error_log stderr;"
        " events {} http { access_log off; server { listen 8080; } }\n"
    )
    nginx = f"{nginx_binaries.choose()} -e stderr -c {config}"
    script = f"{nginx} >>{output} 2>&1 & exec sleep 60 >>{folder}/pause.log 2>&1"
    own_pids = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
    process = subprocess.Popen(where.command([*own_pids, "sh", "-c", script]))
    try:
        pid = folder / "pid"
        wait_until(lambda: pid.exists() and pid.read_text() != "", "nginx")
        (first,) = psutil.Process(process.pid).children()
        yield first.pid
    finally:
        process.kill()
        process.wait()


def lines(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if line.startswith("drainmon: ")]


@pytest.mark.parametrize("found", ["by its pid file", "by its title"])
def test_lines_go_to_the_log_of_nginxs_container(
    pod_netns: Netns, client: Path, tmp_path: Path, found: str
) -> None:
    flags = [f"--pid-file={tmp_path}/pid"] if found == "by its pid file" else []
    with shared_pids(pod_netns, tmp_path, tmp_path / "nginx.log") as pause:
        enter = ["nsenter", f"--target={pause}", "--net", "--pid", "--mount", "--"]
        ended = Client([*enter, str(client), *QUICK, *flags]).end()
    assert ended.status == 0
    assert lines(tmp_path / "nginx.log") == ended.output.splitlines()
    assert lines(tmp_path / "pause.log") == []


def test_lines_go_to_pid_1_when_nginx_writes_nowhere(
    pod_netns: Netns, client: Path, tmp_path: Path
) -> None:
    """nginx as a daemon with a closed output."""
    with shared_pids(pod_netns, tmp_path, "/dev/null") as pause:
        enter = ["nsenter", f"--target={pause}", "--net", "--pid", "--mount", "--"]
        ended = Client([*enter, str(client), *QUICK]).end()
    assert ended.status == 0
    assert lines(tmp_path / "pause.log") == ended.output.splitlines()


def test_lines_appear_once_when_the_hooks_output_is_the_log(
    pod_netns: Netns, client: Path, tmp_path: Path
) -> None:
    log = tmp_path / "nginx.log"
    with shared_pids(pod_netns, tmp_path, log) as pause, log.open("ab") as output:
        enter = ["nsenter", f"--target={pause}", "--net", "--pid", "--mount", "--"]
        subprocess.run([*enter, str(client), *QUICK], check=True, stdout=output)
    assert sum("drained, " in line for line in lines(log)) == 1
    assert lines(tmp_path / "pause.log") == []
