"""The image, built from the repository, run as the DaemonSet says: it drains a pod of this host."""

import shutil
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig.daemon import healthy
from bench.rig.netns import fresh_netns
from bench.rig.pod import FakePod
from tests.cluster import podman
from tests.cluster.manifests import FOLDER, ROOT, Manifest, container, one, pod_spec, render
from tests.e2e.connections import Connection
from tests.waiting import eventually

pytestmark = pytest.mark.root

IMAGE = "localhost/drainmon:test"
BIGGEST = 90 << 20
"""Bytes above the base image."""


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    if missing := [tool for tool in ("podman", "runc", "mmdebstrap") if not shutil.which(tool)]:
        pytest.skip(f"needs {', '.join(missing)}")
    podman.make_base()
    podman.build(IMAGE)
    yield IMAGE
    podman.remove_cgroups()


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    return render(FOLDER / "base")


@pytest.fixture
def volumes(tmp_path: Path) -> dict[str, Path]:
    """Folders in the place of the node's."""
    found = {"run": tmp_path / "run", "pod-logs": tmp_path / "pods"}
    for path in found.values():
        path.mkdir()
    return found


def test_size_and_labels(image: str) -> None:
    size, base = (
        int(podman.call("image", "inspect", "--format={{.Size}}", name))
        for name in (image, podman.BASE)
    )
    assert size - base < BIGGEST
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    label = '--format={{index .Labels "org.opencontainers.image.version"}}'
    assert podman.call("image", "inspect", label, image) == version
    entry = podman.call("image", "inspect", "--format={{.Config.Entrypoint}}", image)
    assert entry == "[/opt/drainmon/bin/drainmon]"


def test_a_pod_is_drained_by_the_daemonset(
    image: str, manifests: list[Manifest], volumes: dict[str, Path]
) -> None:
    spec = pod_spec(one(manifests, "DaemonSet"))
    options: dict[str, str] = one(manifests, "ConfigMap")["data"]
    socket, client = volumes["run"] / "drainmon.sock", volumes["run"] / "drainmon-wait"

    install = container(spec, "install-client")
    flags = podman.run_flags(install, volumes, {})
    podman.call("run", *flags, image, *install["args"])
    assert stat.S_IMODE(client.stat().st_mode) == 0o755

    daemon = container(spec, "drainmon")
    flags = podman.run_flags(daemon, volumes, options)
    with podman.running("drainmon-old", image, flags, daemon["args"]) as old:
        eventually(lambda: healthy(socket) or old.poll() is not None, within=60)
        assert healthy(socket), "it did not start"
        status = podman.call("exec", "drainmon-old", "drainmon", "status")
        assert status.startswith("source core, ")

        pid = podman.call("inspect", "--format={{.State.Pid}}", "drainmon-old")
        probe = f"http://127.0.0.1:{daemon['ports'][0]['containerPort']}"
        probe += daemon["livenessProbe"]["httpGet"]["path"]
        curl = ["nsenter", f"--target={pid}", "--net", "curl", "-sf", probe]
        assert (
            '"status":"ok"' in subprocess.run(curl, check=True, capture_output=True).stdout.decode()
        )

        with fresh_netns("drainmon-client") as here, FakePod(here) as pod:
            hook = [str(client), "--socket", str(socket), "--min-wait=0.2s", "--quiet=0.1s"]
            with Connection(pod) as idle:
                idle.send("/")
                idle.read(1)
                ended = pod.terminate([*hook, "--timeout=10s"])
        assert (ended.hook_exit, ended.killed) == (0, False), ended.output
        assert "ESTABLISHED" in ended.output
        assert " drained" in podman.call("exec", "drainmon-old", "drainmon", "status")

        # A rolling update with surge: the new one takes the socket, then the old one ends.
        first = socket.stat().st_ino
        with podman.running("drainmon-new", image, flags, daemon["args"]) as new:
            eventually(lambda: socket.stat().st_ino != first or new.poll() is not None, within=60)
            assert old.poll() is None
            grace = spec["terminationGracePeriodSeconds"]
            podman.call("stop", f"--time={grace}", "drainmon-old")
            assert old.wait() == 0, "it had to be killed"
            assert healthy(socket)
    assert [path.name for path in volumes["run"].iterdir()] == ["drainmon-wait"]


def test_nothing_in_it_needs_a_shell(image: str) -> None:
    argv = podman.podman("run", "--rm", *podman.PLAIN, image, "--version")
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.startswith(
        "drainmon "
    )
