"""Kernel headers for bcc to compile with.

Headers of another version suffice: the program uses no struct of the kernel. Debian has two
folders: the sources of all flavours (`linux-headers-<version>-common`), and the generated files of
one flavour (`linux-headers-<version>-amd64`), whose Makefile names the first. Other distributions
have one."""

import errno
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "BCC_KERNEL_SOURCE"
"""bcc's environment variable for the folder to compile in."""

_INCLUDE = re.compile(r"^include\s+(/\S+)/Makefile\s*$", re.MULTILINE)
_HOW = (
    f"install them (Debian: apt install linux-headers-amd64 or linux-headers-arm64), mount the "
    f"host's /lib/modules and /usr/src into a container, or name their folder in {VARIABLE}"
)


@dataclass(frozen=True)
class Headers:
    """`source` has include/linux, `build` include/generated; they may be the same."""

    source: Path
    build: Path

    def flags(self) -> list[str]:
        """The compiler flags for headers that `source` lacks."""
        if self.source == self.build:
            return []
        include = self.build / "include"
        generated = [include / "generated", *self.build.glob("arch/*/include/generated")]
        folders = [include, *generated, *(folder / "uapi" for folder in generated)]
        return [f"-I{folder}" for folder in folders]


def _candidates(root: Path) -> Iterator[Path]:
    """The usual folders of headers, best first."""
    if named := os.environ.get(VARIABLE):
        yield Path(named)
        return
    yield root / "lib/modules" / platform.release() / "build"
    for pattern in ("usr/src/linux-headers-*", "usr/src/kernels/*"):
        yield from sorted(root.glob(pattern), reverse=True)


def _headers_in(build: Path) -> Headers | None:
    if not (build / "include/generated/autoconf.h").is_file():
        return None
    sources = [build]
    if (makefile := build / "Makefile").is_file():
        sources += map(Path, _INCLUDE.findall(makefile.read_text(errors="replace")))
    for source in sources:
        if (source / "include/linux/kconfig.h").is_file():
            return Headers(source, build)
    return None


def find(root: Path = Path("/")) -> Headers:
    """The headers of BCC_KERNEL_SOURCE, else the running kernel's, else any. Raises OSError with
    the folders that were searched."""
    looked = list(_candidates(root))
    for build in looked:
        if headers := _headers_in(build):
            return headers
    places = ", ".join(map(str, looked))
    if VARIABLE not in os.environ:
        places += ", /usr/src/linux-headers-*, /usr/src/kernels/*"
    raise OSError(errno.ENOENT, f"cannot use bcc: no kernel headers in {places}; {_HOW}")
