"""Containers on this host, with their own store below build/."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.manifests import ROOT, Manifest

STORE = ROOT / "build" / "image"
BASE = "docker.io/library/debian:12-slim"
CGROUP = "drainmon-image-test"
FEW = ["--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096"]
"""Podman requires more than a machine without CAP_SYS_RESOURCE allows."""

PLAIN = ["--network=none", "--cgroups=no-conmon", f"--cgroup-parent={CGROUP}", *FEW]

INDEXES = {
    "/etc/apt": "/etc/apt",
    "/etc/pip.conf": "/etc/pip.conf",
    "/etc/ssl/certs": "/etc/ssl/certs",
    "/etc/npmrc": "/root/.npmrc",
}
"""The package indexes that this machine is configured with, for the build."""


def podman(*arguments: str | Path) -> list[str | Path]:
    return [
        "podman", "--runtime", "runc", "--root", STORE / "store", "--runroot", STORE / "run",
        "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
        *arguments,
    ]  # fmt: skip


def call(*arguments: str | Path) -> str:
    """Podman's output. Fails with podman's error."""
    done = subprocess.run(podman(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.strip()


def make_base() -> None:
    """Make Debian 12 slim under the base image's name, unless it exists."""
    if not subprocess.run(podman("image", "exists", BASE), check=False).returncode:
        return
    STORE.mkdir(parents=True, exist_ok=True)
    tar = STORE / "base.tar"
    excluded = ("doc", "man", "locale")
    subprocess.run(
        [
            "mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io",
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in excluded),
            "bookworm", tar,
        ],
        check=True,
    )  # fmt: skip
    try:
        call("import", "--quiet", tar, BASE)
    finally:
        tar.unlink()


def build(tag: str, *flags: str) -> None:
    """Build this repository's image. Unchanged layers come from the store."""
    # As overlays: packages may write there, and the changes are discarded after each step.
    mounts = [
        f"--volume={here}:{there}:{'O' if Path(here).is_dir() else 'ro'}"
        for here, there in INDEXES.items()
        if Path(here).exists()
    ]
    call(
        "build", "--quiet", "--layers", "--jobs=2", "--pull=never", "--network=host",
        *FEW, *mounts, "--tag", tag, *flags, ROOT,
    )  # fmt: skip


def run_flags(container: Manifest, volumes: dict[str, Path], env: dict[str, str]) -> list[str]:
    """`podman run` flags for a manifest's container as a kubelet would run it: its security
    context, and its mounts with `volumes` in place of the host's folders."""
    context = container["securityContext"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}  # podman's default, too
    added = context["capabilities"].get("add", [])
    flags = [
        "--rm", *PLAIN, "--pid=host",
        f"--user={context['runAsUser']}",
        *(f"--cap-drop={name}" for name in context["capabilities"]["drop"]),
        *(f"--cap-add={name}" for name in added),
        *(f"--env={name}={value}" for name, value in env.items()),
    ]  # fmt: skip
    if context["readOnlyRootFilesystem"]:
        flags += ["--read-only", "--read-only-tmpfs=false"]
    if context.get("allowPrivilegeEscalation") is False:
        flags += ["--security-opt=no-new-privileges"]
    for mount in container["volumeMounts"]:
        mode = "ro" if mount.get("readOnly") else "rw"
        flags.append(f"--volume={volumes[mount['name']]}:{mount['mountPath']}:{mode}")
    return flags


@contextmanager
def running(
    name: str, image: str, flags: Sequence[str], args: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a container until the block ends; it may end earlier."""
    process = subprocess.Popen(podman("run", f"--name={name}", *flags, image, *args))
    try:
        yield process
    finally:
        subprocess.run(
            podman("stop", "--ignore", "--time=5", name), check=False, capture_output=True
        )
        process.wait(30)


def remove_cgroups() -> None:
    """Remove the folders that Podman leaves behind."""
    for top in Path("/sys/fs/cgroup").glob(f"**/{CGROUP}"):
        below = [path for path in top.rglob("*") if path.is_dir()]
        for folder in (*sorted(below, reverse=True), top):
            folder.rmdir()
