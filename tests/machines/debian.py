"""Debian's kernels, downloaded with the machine's apt and unpacked, never installed."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

SUITES = ("bullseye", "bookworm", "bookworm-backports", "trixie", "trixie-backports")
SECURITY = ("bullseye-security", "bookworm-security", "trixie-security")
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


Package = dict[str, str]
"""The fields of a package in the archive's lists."""


class DebianError(Exception):
    """ "cannot X: why"."""


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel."""

    version: str
    """The version of Debian's package."""
    image: Path
    """The kernel that QEMU boots; its modules lie where virtme-ng finds them."""


class Archive:
    """The archive of Debian that this machine's apt uses, with more suites, in a folder of its own:
    apt's own lists stay as they are."""

    def __init__(self, folder: Path, architecture: str = "amd64") -> None:
        self._folder = folder.resolve()
        self._architecture = architecture
        (self._folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        self._options = [
            f"Dir::Etc::SourceList={self._folder}/sources.list",
            "Dir::Etc::SourceParts=-",
            f"Dir::State::Lists={self._folder}/lists",
            f"Dir::Cache={self._folder}",
            f"APT::Architecture={architecture}",
            f"APT::Architectures={architecture}",
            "Acquire::Languages=none",
            "APT::Sandbox::User=",
            "APT::Update::Error-Mode=any",
        ]
        self._sources()
        self._run("apt-get", "-qq", "update")

    def _sources(self) -> None:
        lines = []
        for site in _sites():
            suites = SECURITY if site.rstrip("/").endswith("security") else SUITES
            lines += [f"deb [signed-by={KEYS}] {site} {suite} main" for suite in suites]
        if not lines:
            raise DebianError("cannot download kernels: apt is configured with no Debian archive")
        (self._folder / "sources.list").write_text("\n".join(lines) + "\n")

    def kernel(self, version: str) -> Kernel:
        """The newest kernel for clouds whose version begins with these numbers ("6.12"), unpacked:
        it has all that the tests need in a quarter of the size."""
        names = set(self._run("apt-cache", "pkgnames", "linux-").split())
        pattern = rf"linux-image-\d[\w.+-]*-cloud-{self._architecture}(-unsigned)?"
        images = [name for name in names if re.fullmatch(pattern, name)]
        packages = parse_packages(self._run("apt-cache", "show", *images))
        for package in newest_first(version, packages, names):
            try:
                return self._kernel_of(package)
            except DebianError as error:  # the lists name packages that the archive has no more
                problem = error
        raise problem

    def _kernel_of(self, package: Package) -> Kernel:
        folder = self._folder.parent / package["Package"]
        if not folder.exists():
            self._unpack(_parts(package), folder)
        kernels = sorted(folder.glob("**/vmlinuz*"))
        if not kernels:
            raise DebianError(f"cannot find a kernel in package {package['Package']}")
        return Kernel(package["Version"], kernels[0])

    def virtiofsd(self) -> Path:
        """A folder with `virtiofsd`, which shares this machine's files: Debian 13's, with its own C
        library, because Debian 12 has an older one that virtme-ng does not use."""
        folder = self._folder.parent / "virtiofsd"
        if not folder.exists():
            self._unpack(["virtiofsd/trixie", "libc6/trixie"], folder)
            program = folder / "bin" / "virtiofsd"
            program.parent.mkdir()
            libraries = folder / "usr/lib/x86_64-linux-gnu"
            program.write_text(
                f"#!/bin/sh\nexec {libraries}/ld-linux-x86-64.so.2 --library-path"
                f' {libraries}:/usr/lib/x86_64-linux-gnu {folder}/usr/libexec/virtiofsd "$@"\n'
            )
            program.chmod(0o755)
        return folder / "bin"

    def _unpack(self, packages: list[str], folder: Path) -> None:
        new = folder.with_name(f"{folder.name}.new")
        new.mkdir(parents=True, exist_ok=True)
        self._run("apt-get", "-qq", "download", *packages, cwd=new)
        for package in new.glob("*.deb"):
            self._run("dpkg-deb", "-x", package.name, ".", cwd=new)
            package.unlink()
        new.rename(folder)

    def _run(self, *argv: str, cwd: Path | None = None) -> str:
        if argv[0].startswith("apt-"):
            argv = (argv[0], *(f"-o{option}" for option in self._options), *argv[1:])
        ran = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise DebianError(f"cannot run {argv[0]}: {ran.stderr.strip()}")
        return ran.stdout


def parse_packages(text: str) -> list[Package]:
    """The output of `apt-cache show`."""
    parts = text.strip().split("\n\n")
    return [dict(re.findall(r"(?m)^([A-Z][\w-]*): (.*)$", part)) for part in parts]


def newest_first(version: str, packages: list[Package], names: set[str]) -> list[Package]:
    """Those of these kernels whose version begins with these numbers, at least one. A kernel is
    left out when the lists no longer have all its parts. Raises DebianError."""
    found = [
        package
        for package in packages
        if package["Version"].startswith(f"{version}.") and names.issuperset(_parts(package))
    ]
    if not found:
        raise DebianError(f"cannot find kernel {version}: no suite of Debian has it")
    return sorted(found, key=lambda package: _numbers(package["Version"]), reverse=True)


def _sites() -> list[str]:
    """The addresses of the archives in this machine's configuration, each once."""
    argv = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    return list(dict.fromkeys(ran.stdout.split()))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def _parts(package: Package) -> list[str]:
    """The packages of a kernel: newer ones have the image and the modules apart."""
    depends = package.get("Depends", "")
    return [package["Package"], *re.findall(r"linux-(?:binary|modules)-[^ ]+", depends)]
