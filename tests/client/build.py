"""Compiles the client: as shipped, with sanitizers, and its pure parts as a library."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "client"
SOURCES = sorted(CLIENT.glob("*.c"))

NAMED = [
    "musl-gcc", "-std=c11", "-D_GNU_SOURCE", "-Oz", "-static",
    "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections",
]  # fmt: skip
CHECKED = [
    "gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-g",
    "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
]  # fmt: skip
LIBRARY = [
    "gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-g", "-O1", "-shared",
    "-fPIC", "-fsanitize=undefined", "-fno-sanitize-recover=all", f"-I{CLIENT}",
]  # fmt: skip


def shipped() -> Path:
    """The client as `make build` leaves it."""
    subprocess.run(["make", "-s", "-C", str(ROOT), "build/drainmon-wait"], check=True)
    return ROOT / "build" / "drainmon-wait"


def compile_client(command: list[str], to: Path, *flags: str) -> Path:
    """The client built by `command`. Raises CalledProcessError when it does not compile."""
    return _compile([*command, *flags], SOURCES, to)


def compile_library(to: Path) -> Path:
    pure = [path for path in SOURCES if path.name != "wait.c"]
    shims = sorted(Path(__file__).parent.glob("shim*.c"))
    return _compile(LIBRARY, [*pure, *shims], to)


def _compile(command: list[str], sources: list[Path], to: Path) -> Path:
    subprocess.run([*command, *map(str, sources), "-o", str(to)], check=True)
    return to
