"""The images, built from the repository: the daemon's drains a pod of this host, run as in the
DaemonSet; the client's works in each way that the examples use."""

import os
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
CLIENT_IMAGE = "registry.example.com/drainmon-client:0.1.0"
"""The name in the examples."""
NGINX_IMAGE = "docker.io/library/nginx:1.31-alpine-slim"
BIGGEST = 90 << 20
"""Bytes above the base image."""
BIGGEST_CLIENT = 49_152 if os.uname().machine == "x86_64" else 65_536
"""Every instruction of arm64 takes four bytes."""

NGINX_CONF = """
daemon off;
pid /tmp/nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    server { listen 8080; location / { return 200; } }
}
"""
"""For an nginx that may write to /tmp only."""

HOOK = ["/run/drainmon/drainmon-wait", "--timeout=10s", "--min-wait=0.1s", "--quiet=0.1s"]


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    if missing := [tool for tool in ("podman", "runc", "mmdebstrap") if not shutil.which(tool)]:
        pytest.skip(f"needs {', '.join(missing)}")
    podman.make_base()
    podman.build(IMAGE)
    yield IMAGE
    podman.remove_cgroups()


@pytest.fixture(scope="module")
def client_image() -> Iterator[str]:
    if missing := [tool for tool in ("podman", "runc", "mmdebstrap") if not shutil.which(tool)]:
        pytest.skip(f"needs {', '.join(missing)}")
    podman.make_base()
    podman.build(CLIENT_IMAGE, "--target=client")
    yield CLIENT_IMAGE
    podman.remove_cgroups()


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    return render(FOLDER / "base")


@pytest.fixture
def volumes(tmp_path: Path) -> dict[str, Path]:
    """Folders in place of the node's."""
    found = {"run": tmp_path / "run", "pod-logs": tmp_path / "pods"}
    for path in found.values():
        path.mkdir()
    return found


def test_image_is_small_and_labelled(image: str) -> None:
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


def test_image_run_as_in_the_daemonset_drains_a_pod(
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


def test_image_runs_without_a_shell(image: str) -> None:
    argv = podman.podman("run", "--rm", *podman.PLAIN, image, "--version")
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.startswith(
        "drainmon "
    )


def test_client_image_is_one_static_file(client_image: str) -> None:
    folder = Path(podman.call("image", "mount", client_image))
    try:
        (client,) = folder.rglob("*")
        assert client == folder / "drainmon-wait"
        assert stat.S_IMODE(client.stat().st_mode) == 0o755
        assert client.stat().st_size < BIGGEST_CLIENT
        # The file is alone in the root, and runs.
        done = subprocess.run(
            ["chroot", folder, "/drainmon-wait", "--version"], capture_output=True, check=True
        )
        assert done.stdout.startswith(b"drainmon-wait ")
    finally:
        podman.call("image", "unmount", client_image)
    entry = podman.call("image", "inspect", "--format={{.Config.Entrypoint}}", client_image)
    assert entry == "[/drainmon-wait]"
    label = '--format={{index .Labels "org.opencontainers.image.version"}}'
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert podman.call("image", "inspect", label, client_image) == version


def test_both_images_have_the_same_client(image: str, client_image: str) -> None:
    found = []
    for name, path in ((image, "opt/drainmon/bin/drainmon-wait"), (client_image, "drainmon-wait")):
        found.append((Path(podman.call("image", "mount", name)) / path).read_bytes())
        podman.call("image", "unmount", name)
    assert found[0] == found[1]


def test_client_image_works_as_a_volume(client_image: str, tmp_path: Path) -> None:
    """As Kubernetes mounts an image volume, in a pod under Pod Security "restricted"."""
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(NGINX_CONF)
    configuration.chmod(0o644)
    restricted = [
        "--rm", *podman.PLAIN, "--user=101", "--cap-drop=ALL", "--read-only",
        "--security-opt=no-new-privileges",
    ]  # fmt: skip
    volume = f"--mount=type=image,source={client_image},destination=/run/drainmon"
    nginx = ["--volume=/usr:/usr:ro", f"--volume={configuration}:/nginx.conf:ro", "--tmpfs=/tmp"]
    command = ["nginx", "-c", "/nginx.conf", "-e", "stderr"]
    with podman.running("drainmon-web", podman.BASE, [*restricted, volume, *nginx], command):
        hook = [str(word) for word in podman.podman("exec", "drainmon-web", *HOOK)]
        listens = podman.podman("exec", "drainmon-web", "curl", "-sf", "http://127.0.0.1:8080/")
        eventually(
            lambda: subprocess.run(listens, check=False, capture_output=True).returncode == 0,
            within=30,
        )
        done = subprocess.run(hook, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "drained" in done.stdout
        changed = podman.podman("exec", "--user=0", "drainmon-web", "touch", "/run/drainmon/x")
        done = subprocess.run(changed, check=False, capture_output=True, text=True)
        assert "Read-only file system" in done.stderr


def test_client_can_be_copied_into_another_image(client_image: str) -> None:
    """The example's Dockerfile, with Debian in place of nginx's image."""
    podman.call("tag", podman.BASE, NGINX_IMAGE)
    file = FOLDER / "examples" / "nginx-own-image.Dockerfile"
    tag = "localhost/drainmon-web:test"
    podman.call("build", "--quiet", "--pull=never", *podman.FEW, f"--file={file}", "--tag", tag)
    client = "/usr/local/bin/drainmon-wait"
    flags = ["--rm", *podman.PLAIN, "--user=101", f"--entrypoint={client}", tag, "--version"]
    assert podman.call("run", *flags).startswith("drainmon-wait ")
