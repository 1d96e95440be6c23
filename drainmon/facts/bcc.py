"""The requirements of source `bcc`: Debian's bcc, kernel headers to compile with, a tracepoint."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from drainmon.facts.fact import Fact, Group, Status

TRACEPOINT = "events/sock/inet_sock_set_state/format"
_TRACEFS = ("sys/kernel/tracing", "sys/kernel/debug/tracing")
_ANY_HEADERS = ("usr/src/linux-headers-*", "usr/src/kernels/*")
_LIBRARY = "libbcc.so.0"
_LIBRARY_FOLDERS = ("usr/lib", "usr/lib/*-linux-gnu*", "usr/lib64", "usr/local/lib")


def locate() -> Path | None:
    """The folder of the Python package bcc, found without importing it."""
    spec = importlib.util.find_spec("bcc")
    return Path(spec.origin).parent if spec and spec.origin else None


def package(folder: Path | None) -> Fact:
    """Whether the package is bcc's: PyPI has an unrelated one of this name, without libbcc.py."""
    name = "Python package bcc"
    advice = "install Debian's python3-bpfcc; a venv sees it with --system-site-packages"
    if folder is None:
        return Fact(Group.BCC, name, Status.MISSING, "not installed", advice)
    if not (folder / "libbcc.py").is_file():
        found = f"{folder} is an unrelated package of the same name"
        return Fact(Group.BCC, name, Status.MISSING, found, f"pip uninstall bcc; {advice}")
    return Fact(Group.BCC, name, Status.OK, str(folder))


def library(root: Path) -> Fact:
    for folder in _LIBRARY_FOLDERS:
        for path in root.glob(f"{folder}/{_LIBRARY}"):
            return Fact(Group.BCC, _LIBRARY, Status.OK, f"/{path.relative_to(root)}")
    return Fact(Group.BCC, _LIBRARY, Status.MISSING, "not installed", "install Debian's libbpfcc")


def tracepoint(root: Path) -> Fact:
    """Whether tracefs has sock:inet_sock_set_state (since kernel 4.16); only root can see it."""
    name = "tracepoint"
    try:
        for folder in _TRACEFS:
            if (root / folder / TRACEPOINT).is_file():
                return Fact(Group.BCC, name, Status.OK, f"/{folder}/{TRACEPOINT}")
        mounted = [folder for folder in _TRACEFS if (root / folder / "events").is_dir()]
    except PermissionError:
        return Fact(Group.BCC, name, Status.UNKNOWN, f"/{folder} may not be read", "run as root")
    if mounted:
        found = f"/{mounted[0]} has no sock/inet_sock_set_state"
        advice = "needs kernel 4.16 or a backport, with CONFIG_TRACEPOINTS"
        return Fact(Group.BCC, name, Status.MISSING, found, advice)
    if not _knows_tracefs(root):
        advice = "needs a kernel with CONFIG_FTRACE"
        return Fact(Group.BCC, name, Status.MISSING, "the kernel has no tracefs", advice)
    found = "tracefs is not mounted; the daemon mounts it in a mount namespace of its own"
    return Fact(Group.BCC, name, Status.OK, found)


def _knows_tracefs(root: Path) -> bool:
    try:
        return "tracefs" in (root / "proc/filesystems").read_text().split()
    except OSError:
        return False


def headers(root: Path, release: str, environment: Mapping[str, str]) -> Fact:
    """Whether there are kernel headers: those of BCC_KERNEL_SOURCE, the running kernel's, or any
    other, as the program uses no struct of the kernel."""
    name = "kernel headers"
    if named := environment.get("BCC_KERNEL_SOURCE"):
        if _has_headers(root / named.lstrip("/")):
            return Fact(Group.BCC, name, Status.OK, f"{named} (BCC_KERNEL_SOURCE)")
        found = f"none in {named}"
        return Fact(Group.BCC, name, Status.MISSING, found, "correct BCC_KERNEL_SOURCE")
    own = f"lib/modules/{release}/build"
    if _has_headers(root / own):
        return Fact(Group.BCC, name, Status.OK, f"/{own}")
    for pattern in _ANY_HEADERS:
        for folder in sorted(root.glob(pattern), reverse=True):
            if _has_headers(folder):
                found = f"/{folder.relative_to(root)}, of another kernel, which is sufficient"
                return Fact(Group.BCC, name, Status.OK, found)
    advice = "install linux-headers (in a container: mount the host's /lib/modules and /usr/src)"
    return Fact(Group.BCC, name, Status.MISSING, f"none in /{own} and /usr/src", advice)


def _has_headers(folder: Path) -> bool:
    return (folder / "include/generated/autoconf.h").is_file()
