"""Each capability that the manifests grant the daemon is needed, and together they suffice.

The pod is the hardest case: nginx that does not run as root, with an idle keep-alive connection
that only a roll closes.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.rig import nginx as nginx_binaries
from bench.rig.daemon import healthy
from bench.rig.netns import fresh_netns
from bench.rig.pod import FakePod
from drainmon.cli.client import get
from tests.cluster.manifests import capabilities, rendered_daemon
from tests.e2e.api import pod_in
from tests.e2e.connections import Connection
from tests.e2e.harness import SERVE
from tests.waiting import eventually

pytestmark = pytest.mark.root

OVERLAYS = {"core": "base", "bcc": "overlays/bcc", "procfs": "overlays/procfs"}
FOR_OLD_KERNELS = {"SYS_RESOURCE"}
"""Before Linux 5.11, maps count as locked memory; this cannot be tested here."""

AS_101 = """\
#!/bin/sh
[ "$1" = -v ] && exec {nginx} "$@"
chown -R 101:101 "$2" && chmod 755 "$2" &&
	exec setpriv --reuid=101 --regid=101 --clear-groups {nginx} "$@"
"""
"""As in the image nginx-unprivileged. The second argument is the prefix."""


def granted(source: str) -> list[str]:
    names = capabilities(rendered_daemon(OVERLAYS[source]))
    return [name for name in names if name not in FOR_OLD_KERNELS]


GRANTED = {source: granted(source) for source in OVERLAYS}
LEFT_OUT = [(source, name) for source, names in GRANTED.items() for name in names]


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakePod]:
    wrapper = tmp_path_factory.mktemp("nginx") / "nginx"
    wrapper.write_text(AS_101.format(nginx=nginx_binaries.choose()))
    wrapper.chmod(0o755)
    with fresh_netns("drainmon-client") as here, FakePod(here, nginx=wrapper, port=8080) as pod:
        yield pod


@contextmanager
def daemon(socket: Path, source: str, names: list[str]) -> Iterator[None]:
    """Run a daemon as root with only these capabilities. OSError when it does not start."""
    few = "".join(f",+{name.lower()}" for name in names)
    argv = [
        "setpriv", f"--bounding-set=-all{few}", "--inh-caps=-all", "--ambient-caps=-all",
        *SERVE, "--source", source, "--socket", str(socket),
    ]  # fmt: skip
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: healthy(socket) or process.poll() is not None, within=20)
            if process.returncode is not None:
                raise OSError(f"source {source} does not start")
            yield
        finally:
            process.terminate()


def drain(socket: Path, pod: FakePod, timeout: float) -> str:
    """The result of draining the pod, whose only connection is idle."""
    with Connection(pod) as idle:
        idle.send("/")
        idle.read(1)
        eventually(lambda: pod_in(socket, pod.netns.inode).get("in_flight") == 1)
        policy = json.dumps({"min_wait": 0, "quiet": 0.1, "timeout": timeout})
        curl = ["curl", "-sN", "--unix-socket", str(socket), "-d", policy]
        done = subprocess.run(
            pod.netns.command([*curl, "http://drainmon/v1/self/drain"]),
            capture_output=True,
            text=True,
            check=True,
        )
    last = json.loads(done.stdout.splitlines()[-1])
    return str(last["result"])


@pytest.mark.parametrize("source", OVERLAYS)
def test_the_granted_capabilities_suffice(source: str, pod: FakePod, tmp_path: Path) -> None:
    socket = tmp_path / "s"
    with daemon(socket, source, GRANTED[source]):
        assert get(socket, "/healthz")["source"] == source
        eventually(lambda: pod_in(socket, pod.netns.inode).get("ports") == [8080])
        assert drain(socket, pod, timeout=20) == "drained"


@pytest.mark.parametrize(("source", "name"), LEFT_OUT)
def test_each_granted_capability_is_needed(
    source: str, name: str, pod: FakePod, tmp_path: Path
) -> None:
    socket = tmp_path / "s"
    names = [other for other in GRANTED[source] if other != name]
    match name:
        case "SYS_ADMIN" | "SYS_PTRACE":
            with pytest.raises(OSError, match="does not start"), daemon(socket, source, names):
                pass
        case "DAC_READ_SEARCH":
            with daemon(socket, source, names):
                eventually(lambda: pod_in(socket, pod.netns.inode) != {})
                assert pod_in(socket, pod.netns.inode)["ports"] == []
        case "KILL":
            with daemon(socket, source, names):
                assert drain(socket, pod, timeout=1) == "deadline"
        case _:
            pytest.fail(f"no test of {name}")
