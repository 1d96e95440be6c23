"""Kernel headers for bcc to compile with.

Those of another version do: the program touches no struct of the kernel. Debian splits them in two
folders, the sources of all flavours (`linux-headers-<version>-common`) and what was generated for
one (`linux-headers-<version>-amd64`), whose Makefile names the other. Elsewhere they are one.
"""

import errno
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "BCC_KERNEL_SOURCE"
"""bcc's own environment variable: the folder to compile in."""

_INCLUDE = re.compile(r"^include\s+(/\S+)/Makefile\s*$", re.MULTILINE)
_HOW = (
    f"install them (Debian: apt install linux-headers-amd64 or linux-headers-arm64), let a "
    f"container see the host's /lib/modules and /usr/src, or name their folder in {VARIABLE}"
)


@dataclass(frozen=True)
class Headers:
    """`source` has include/linux, `build` include/generated; they may be the same."""

    source: Path
    build: Path

    def flags(self) -> list[str]:
        """The compiler's, for what `source` lacks."""
        if self.source == self.build:
            return []
        include = self.build / "include"
        generated = [include / "generated", *self.build.glob("arch/*/include/generated")]
        folders = [include, *generated, *(folder / "uapi" for folder in generated)]
        return [f"-I{folder}" for folder in folders]


def _candidates(root: Path) -> Iterator[Path]:
    """Where headers are by custom, the best first."""
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
    """The headers to use: those that BCC_KERNEL_SOURCE names, else the running kernel's, else any.

    Raises OSError with every place that was looked at.
    """
    looked = list(_candidates(root))
    for build in looked:
        if headers := _headers_in(build):
            return headers
    places = ", ".join(map(str, looked))
    if VARIABLE not in os.environ:
        places += ", /usr/src/linux-headers-*, /usr/src/kernels/*"
    raise OSError(errno.ENOENT, f"cannot use bcc: no kernel headers in {places}; {_HOW}")
